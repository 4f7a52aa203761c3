"""What the units of a member hold, read into rows: the only place of the reports that knows files and columns.

A slice is known by the role under which the experiment hands a unit over, never by the name in the unit's manifest: two experiments
may share a folder and call it differently ("op=max" here, "op=max+1" there).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from igsm_pipeline.queries.tasks import TASKS
from igsm_pipeline.store import Store, Unit, read_manifest
from igsm_pipeline.training.curves import read_metrics

Row = dict[str, Any]
_ROLE = re.compile(r"(?P<stage>[a-z_]+)[ :/.]*(?P<name>.*)")
_BEAM = re.compile(r"[ ./,]*beams?[ =:]*(\d+)")


@dataclass(frozen=True)
class Source:
    """One unit that a report reads.

    Attributes:
        stage: its stage.
        name: what it is to this member ("op=max", "op=max beam=4", "nece").
        folder: where it lies.
        manifest: its manifest.
    """

    stage: str
    name: str
    folder: Path
    manifest: Mapping[str, Any]

    @property
    def slice(self) -> str:
        """The name without its beams."""
        return _BEAM.sub("", self.name).strip()

    @property
    def beams(self) -> int:
        """Beams of a generation; 1 where the name does not say."""
        found = _BEAM.search(self.name)
        return int(found[1]) if found else 1

    def tables(self, stem: str) -> list[Row]:
        """The rows of every Parquet file whose name begins with ``stem``."""
        return [row for path in sorted(self.folder.glob(f"{stem}*.parquet")) for row in pq.read_table(path).to_pylist()]


@dataclass(frozen=True)
class Findings:
    """All units of a report, in the order in which the experiment lists them."""

    sources: tuple[Source, ...]

    @classmethod
    def read(cls, inputs: Mapping[str, Path]) -> Findings:
        """Findings from role -> folder; a role is the stage's name, then the unit's.

        Raises:
            StoreError: a folder has no manifest.
        """
        found = []
        for role, folder in inputs.items():
            match = _ROLE.match(role)
            manifest = read_manifest(folder)
            name = match["name"] if match is not None and match["stage"] == manifest["stage"] else manifest["name"]
            found.append(Source(manifest["stage"], name or manifest["name"], folder, manifest))
        return cls(tuple(found))

    def of(self, stage: str) -> list[Source]:
        """The units of one stage."""
        return [source for source in self.sources if source.stage == stage]

    def one(self, stage: str, part: str | None = None) -> Source | None:
        """The first unit of a stage, or the one of a slice; None where there is none."""
        return next((source for source in self.of(stage) if part is None or source.slice == part), None)

    def rows(self, stage: str, stem: str) -> list[Row]:
        """The rows of one kind of table of every unit of a stage."""
        return [row for source in self.of(stage) for row in source.tables(stem)]

    def verdicts(self) -> list[Row]:
        """Every verdict, with ``slice`` and ``beams``."""
        return [{**row, "slice": source.slice, "beams": source.beams} for source in self.of("verdicts") for row in source.tables("verdicts")]

    def probe_scores(self) -> list[Row]:
        """Every row of every metrics table, linear probes and V-probes."""
        return self.rows("probe_scores", "metrics")

    def probe_curves(self) -> list[Row]:
        """Scores of V-probes on problems that their training held out, with ``task`` and ``model``: one row per probe and step."""
        named = [(source, *source.name.rpartition(" ")[::2]) for source in self.of("v_probes")]
        return [{"task": task, "model": model, **row} for source, task, model in named if task in TASKS for row in source.tables("curve")]

    def beyond_text(self) -> list[Row]:
        """What V-probes tell that the text alone does not, per task, slice and model."""
        return self.rows("probe_scores", "beyond_text")

    def distances(self) -> list[Row]:
        """nece accuracy of necessary parameters by distance to the query, per probe and layer."""
        return self.rows("probe_scores", "distance")

    def mind(self) -> list[Row]:
        """The dense map: what the trained model's V-probes say of every parameter at every step, of the first problems of each slice."""
        return self.rows("probe_scores", "mental_state")

    def training(self) -> list[Row]:
        """The lines that training wrote, in order."""
        source = self.one("checkpoint")
        return read_metrics(source.folder) if source is not None else []


def finished_verdicts(units: Iterable[Unit], store: Store) -> list[Row]:
    """Every verdict of a member's units that are finished and whole, with ``slice`` and ``beams``."""
    done = {f"{unit.stage}/{unit.name}": store.path(unit) for unit in units if unit.stage == "verdicts" and store.check(unit).fresh}
    return Findings.read(done).verdicts()


def read_column(folder: Path, stem: str, column: str) -> list[Any]:
    """One column of the Parquet files of a unit."""
    parts = [pq.read_table(path, columns=[column])[column] for path in sorted(folder.glob(f"{stem}*.parquet"))]
    return [value for part in parts for value in part.to_pylist()]
