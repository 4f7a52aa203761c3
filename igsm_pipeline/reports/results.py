"""The numbers of one member, ready to be told: read once, called by names that people understand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from igsm_pipeline.intervals.interval import Interval
from igsm_pipeline.reports.findings import Findings, Row
from igsm_pipeline.reports.paper import FIGURE_3, FIGURE_7A_MED_PQ, matching_slice, nearest_family
from igsm_pipeline.reports.paper_rows import Accuracy, accuracy_by_op, accuracy_rows, score, whole_scores
from igsm_pipeline.reports.settings import ReportSettings

TASK_NAMES = {
    "nece": "needed (nece)",
    "dep": "rests on (dep)",
    "known": "computed (known)",
    "value": "its value",
    "can_next": "can be next (can_next)",
    "nece_next": "needed next (nece_next)",
}
"""The probes' questions in two words."""
Key = tuple[str, str, str]


def task_name(task: str) -> str:
    """A task as a row is called; a task of somebody's own keeps its name."""
    return TASK_NAMES.get(task, task)


def slice_name(part: str, op_max: int) -> str:
    """A slice as people read it.

    Args:
        part: its name in settings and tables.
        op_max: operations of the longest problems of the training.
    """
    named = {
        "op<=max": f"1 to {op_max} operations",
        "by_op": f"1 to {op_max}, equally often",
        "reask": "another question (reask)",
        "all": "all slices together",
    }
    if part in named or not part.startswith("op="):
        return named.get(part, part)
    name = part[3:]
    op = op_max + int(name.partition("+")[2] or 0) if name.startswith("max") else int(name)
    return f"{op} operations" + (", never taught" if op > op_max else "")


MODELS = {"trained": "the trained model", "random": "random weights"}
"""What V-probes read, in words."""


@dataclass(frozen=True)
class Results:
    """What a report has to tell of one member.

    Attributes:
        settings: which member.
        findings: its units.
    """

    settings: ReportSettings
    findings: Findings

    @cached_property
    def family(self) -> Row:
        """The family's settings, from the problem sets; empty without any."""
        source = self.findings.one("problem_sets")
        return dict(source.manifest["settings"]["family"]) if source is not None else {}

    @property
    def op_max(self) -> int:
        """Operations of the longest problems that the model was trained on; 0 where no problem set says it."""
        return int(self.family.get("op_max", 0))

    @property
    def modulus(self) -> int:
        """All arithmetic is modulo this."""
        return int(self.family.get("modulus", 0))

    @cached_property
    def verdicts(self) -> list[Row]:
        """Every verdict, with slice and beams."""
        return self.findings.verdicts()

    @cached_property
    def accuracy(self) -> list[Accuracy]:
        """One row per slice and beams."""
        return accuracy_rows(self.verdicts)

    @cached_property
    def by_op(self) -> list[Accuracy]:
        """One row per beams and op."""
        return accuracy_by_op(self.verdicts)

    @cached_property
    def scores(self) -> list[Row]:
        """Every row of every table of probe scores."""
        return self.findings.probe_scores()

    @cached_property
    def beyond_text(self) -> list[Row]:
        """What the trained model's V-probes tell that trees on the text alone do not."""
        return [row for row in self.findings.beyond_text() if row["probe"] == "v_probe" and row["gain"] is not None]

    @cached_property
    def whole(self) -> dict[Key, Row]:
        """(task, slice, probe) -> score over all ops and queries."""
        return whole_scores(self.scores)

    @cached_property
    def probed_slices(self) -> list[str]:
        """The slices that probes were scored on."""
        return list(dict.fromkeys(part for _, part, _ in self.whole))

    @cached_property
    def probe_curves(self) -> list[Row]:
        """Scores of V-probes while they were trained, on the trained model and on random weights: one row per task, model and step."""
        return [row for row in self.findings.probe_curves() if row["model"] in MODELS]

    @cached_property
    def correlation(self) -> list[Row]:
        """Figure 8."""
        return self.findings.rows("error_correlation", "correlation")

    @cached_property
    def predictor(self) -> list[Row]:
        """Mistakes predicted before the solution."""
        return self.findings.rows("error_correlation", "mistake_predictor")

    @cached_property
    def distances(self) -> list[Row]:
        """nece by distance to the query and layer, trained model: V-probes that read one layer each where there are such, else linear probes."""
        found = self.findings.distances()
        return [row for row in found if row["probe"] == "v_probe_layer"] or [row for row in found if row["probe"] == "linear"]

    @cached_property
    def probe_controls(self) -> list[Row]:
        """V-probes beside the same probes where there is nothing to read: one row per task, slice, reader and subset."""
        return self.findings.rows("probe_controls", "probe_controls")

    @cached_property
    def description_length(self) -> list[Row]:
        """What the answers cost with each reader: one row per task, reader and share of the queries."""
        return self.findings.rows("probe_controls", "description_length")

    @cached_property
    def candidate_sets(self) -> list[Row]:
        """The same probes on several candidate sets: one row per task, slice, set, reader and subset."""
        return self.findings.rows("probe_controls", "candidate_sets")

    @cached_property
    def interchange(self) -> list[Row]:
        """What exchanged states do to the first parameter: one row per donor, place and layer."""
        return self.findings.rows("interchange", "interchange")

    @cached_property
    def llm_shares(self) -> list[Row]:
        """What other people's models solve: one row per model, style, shots, modulus, measure and number of operations (null: all)."""
        return self.findings.rows("llm_evaluations", "by_op")

    @cached_property
    def emergence(self) -> list[Row]:
        """The curves of the training's snapshots."""
        return self.findings.rows("emergence", "emergence")

    @cached_property
    def half_gains(self) -> list[Row]:
        """The tokens at which half of each final gain is reached."""
        return self.findings.rows("emergence", "half_gains")

    @cached_property
    def steering(self) -> list[Row]:
        """What pushes along a probe's direction do to the first parameter: one row per push, layer and strength."""
        return self.findings.rows("steering", "steering")

    @cached_property
    def erasure(self) -> list[Row]:
        """What is solved and written once something is erased: one row per erased concept, layer and draw."""
        return [row for source in self.findings.of("erasure") for row in source.tables("erasure.")]

    @cached_property
    def erasure_reading(self) -> list[Row]:
        """What can be read then: one row per erased concept, layer, draw, task and layer that is read."""
        return self.findings.rows("erasure", "erasure_reading")

    @cached_property
    def regret(self) -> list[Row]:
        """What a probe says of names just written: one row per slice and subset."""
        return [row for source in self.findings.of("regret") for row in source.tables("regret")]

    @cached_property
    def retry_upon_regret(self) -> list[Row]:
        """What going back where a name is regretted brings: one row per slice, decoder and number of tries."""
        return [row for source in self.findings.of("regret") for row in source.tables("retry_upon_regret")]

    @cached_property
    def beyond(self) -> list[str]:
        """Slices with more operations than any training problem, shortest first."""
        found = {row["slice"]: row["op"] for row in self.verdicts if row["slice"] not in ("reask", "by_op") and row["op"] > self.op_max > 0}
        return sorted(found, key=lambda part: found[part])

    @property
    def paper_family(self) -> str:
        """The paper's family that stands beside this member."""
        return nearest_family(self.settings.member.partition(".")[0], str(self.family.get("format", "pq")))

    @property
    def is_papers(self) -> bool:
        """The member is of one of the paper's own families."""
        return self.settings.member.partition(".")[0] in FIGURE_3

    def paper_accuracy(self, part: str) -> float | None:
        """The paper's figure 3 beside one of our slices, percent; None where it has nothing there."""
        theirs = matching_slice(self.paper_family, part, self.beyond)
        return None if theirs is None else FIGURE_3[self.paper_family].get(theirs)

    def paper_probe(self, task: str, part: str) -> float | None:
        """The paper's accuracy of a V-probe (figure 7a, med_pq), percent; None where it gives none."""
        theirs = matching_slice("med_pq", part, self.beyond)
        return None if theirs is None else FIGURE_7A_MED_PQ.get(task, {}).get(theirs)

    def claim(self, section: str = "") -> str:
        """What a section of the experiment, or the experiment itself, claimed before it was run; "" where it claimed nothing."""
        asked = self.settings.experiment
        return str((asked.get(section, {}) if section else asked).get("claim", ""))

    def slice_name(self, part: str) -> str:
        """A slice as people read it."""
        return slice_name(part, self.op_max)

    def row_name(self, row: Accuracy) -> str:
        """A row of accuracies: its slice, and its beams where there is more than one."""
        return self.slice_name(row.slice) + ("" if row.beams == 1 else f", beam {row.beams}")

    def greedy(self, part: str) -> Accuracy | None:
        """The greedy accuracies of a slice."""
        return next((row for row in self.accuracy if row.slice == part and row.beams == 1), None)

    def probe(self, task: str, part: str, probe: str = "v_probe", name: str = "balanced_accuracy") -> Interval | None:
        """One score of a probe, with its interval."""
        return score(self.whole.get((task, part, probe)), name)


def no_evidence(difference: Interval) -> bool:
    """Whether an interval of a difference holds zero, so that the difference says nothing."""
    return not (difference.low > 0 or difference.high < 0)


def said(value: Interval, *, unit: str = " %", scale: float = 100, digits: int = 1) -> str:
    """A value with its interval inside a sentence: ``88.8 % (86.7 to 90.6)``."""
    shown = value.shown(digits, scale)
    number, _, rest = shown.partition(" ")
    return f"{number}{unit}" + (f" {rest}" if rest else "")


def listed(parts: Sequence[str]) -> str:
    """Words as a list in a sentence."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""
