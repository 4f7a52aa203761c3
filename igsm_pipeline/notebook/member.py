"""The mind of an experiment's member: all results of its run, as polars frames.

Each method reads finished units of the store; nothing is computed and nothing is written. If a result is missing, the error names the command
that computes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import polars as pl

from igsm_pipeline.errors import BadInput, NotFound, whole_number
from igsm_pipeline.experiments.experiment import ExperimentSettings, Member
from igsm_pipeline.notebook.mind import Mind, one_of
from igsm_pipeline.planning.flow import units_of
from igsm_pipeline.planning.planner import find_unit, plan
from igsm_pipeline.probes.settings import ARMS, Arm
from igsm_pipeline.problems.settings import FamilySettings
from igsm_pipeline.queries.settings import QuerySettings
from igsm_pipeline.queries.tasks import TaskName
from igsm_pipeline.store import Store
from igsm_pipeline.world import World

if TYPE_CHECKING:
    from igsm_pipeline.notebook.probe import Probe
    from igsm_pipeline.problems.record import ProblemBatch


class MemberMind(Mind):
    """The results of an experiment's member, and its model. ``igsm.open`` makes one.

    A *slice* is a set of test problems with a name (``op<=max``, ``op=max+1``, ``reask``, ``by_op``). In every frame, ``problem`` is the row of the
    problem in its slice, from 0, so frames of one slice can be joined on it. With ``slice=None`` a method gives all slices, in the column ``slice``.

    Every method raises NotFound if its result is not computed yet, naming the command to run, and BadInput for a name that the member lacks.

    Args:
        member: the member.
        store: the store of its units.
    """

    def __init__(self, member: Member, store: Store) -> None:
        self.name, self.member, self.store = member.key, member, store

    def __repr__(self) -> str:
        return f"<member {self.name}: tables, model, probes>"

    @property
    def settings(self) -> ExperimentSettings:
        """The settings of the member: family, world, model, training, evaluation, probes.

        >>> mind.settings.family.modulus
        5
        """
        return self.member.settings

    @property
    def family(self) -> FamilySettings:
        """The settings of the problems that it was trained on.

        >>> mind.family.modulus
        5
        """
        return self.settings.family

    @property
    def slices(self) -> tuple[str, ...]:
        """The slices that the model was evaluated on.

        >>> "op<=max" in mind.slices
        True
        """
        return self._parts("verdicts")

    @property
    def world(self) -> World:
        """The names in its problems.

        >>> len(mind.world.hierarchies) > 0
        True
        """
        return self.settings.world.load()

    @property
    def format(self) -> Literal["pq", "qp"]:
        """The order of problem and question.

        >>> mind.format
        'pq'
        """
        return self.settings.family.format

    def status(self) -> pl.DataFrame:
        """The state of the member: one row per unit with ``stage``, ``name``, ``fresh``, ``why`` (why it is not) and ``folder``.

        >>> mind.status().filter(~pl.col("fresh")).height
        0
        """
        looked = plan(self.member, self.store)
        rows = [
            (unit.stage, unit.name, state.fresh, "; ".join(state.reasons), str(self.store.path(unit)))
            for unit, state in zip(looked.units, looked.freshness, strict=True)
        ]
        return pl.DataFrame(rows, schema=["stage", "name", "fresh", "why", "folder"], orient="row")

    def folder(self, stage: str, name: str | None = None) -> Path:
        """The folder of a finished unit, for files that no method reads.

        >>> (mind.folder("checkpoint") / "config.json").is_file()
        True

        Args:
            stage: a stage, as in ``status``.
            name: name of the unit; None: the only unit of the stage, which has the stage's name.

        Raises:
            NotFound: there is no such stage or unit, or it is not computed yet.
        """
        unit = find_unit(self.member, stage, stage if name is None else name)
        state = self.store.check(unit)
        if not state.fresh:
            what = unit.stage if unit.name == unit.stage else f"{unit.stage} {unit.name!r}"
            raise NotFound(f"no {what} of {self.name} to read ({'; '.join(state.reasons)}): compute what is missing with `igsm run {self.name}`")
        return self.store.path(unit)

    @property
    def checkpoint(self) -> Path:
        """The folder of the trained model, as ``AutoModelForCausalLM`` loads it.

        >>> mind.checkpoint.name == mind.folder("checkpoint").name
        True
        """
        return self.folder("checkpoint")

    @property
    def report(self) -> Path:
        """The report, one HTML page that loads nothing from elsewhere.

        >>> mind.report.name
        'report.html'
        """
        return self.folder("report") / "report.html"

    @property
    def training(self) -> pl.DataFrame:
        """The training curve: one row per logged step.

        >>> mind.training.select("step", "loss").height > 0
        True

        Returns:
            ``step``, ``loss``, ``lr``, ``tokens``, ``grad_norm``; its pace (``tokens_per_s``, ``padding``, ``waiting``, ``tflops_per_s``, and
            ``memory_gb`` and ``mfu`` of a GPU); and ``monitor_accuracy``, the share of fully correct solutions of all ops, at steps where the monitor
            problems were solved.
        """
        from igsm_pipeline.training.curves import PACE, read_metrics

        names = ("step", "loss", "lr", "tokens", "grad_norm", *PACE)
        schema = {"step": pl.Int64, **dict.fromkeys((*names[1:], "monitor_accuracy"), pl.Float64)}
        rows = [{**row, "monitor_accuracy": _share_correct(row.get("accuracy", {}))} for row in read_metrics(self.checkpoint)]
        return pl.DataFrame(rows, schema=schema).group_by("step").agg(pl.all().drop_nulls().last()).sort("step")

    def batch(self, slice: str) -> ProblemBatch:
        """The problems of a set as objects: iterate, index, or ``take(slice(0, 8))`` for a smaller batch.

        >>> mind.batch("op<=max")[0].modulus
        5

        Args:
            slice: a slice, or another set of the member: ``train``, ``monitor``, ``probe_train``.
        """
        from igsm_pipeline.problems.files import read_problems

        return read_problems(self.folder("problem_sets", self._known("problem_sets", slice)), self.world, self.settings.family.modulus)

    def problems(self, slice: str, *, first: int | None = None) -> pl.DataFrame:
        """The problems of a set with their texts.

        >>> mind.problems("op=max", first=2).columns
        ['problem', 'op', 'num_necessary', 'statements', 'question', 'solution', 'answer']

        Args:
            slice: a slice, or another set of the member: ``train``, ``monitor``, ``probe_train``.
            first: give only the first so many problems; each takes about a millisecond.
        """
        from igsm_pipeline.notebook.frames import problem_frame

        batch = self.batch(slice)
        return problem_frame(batch if first is None else batch.take(_first(first)))

    def generations(self, slice: str | None = None, *, beams: int | None = None) -> pl.DataFrame:
        """The solutions that the model wrote: one row per problem.

        >>> mind.generations("op=max").select("slice", "beams", "problem", "finished", "text").height == mind.problems("op=max").height
        True

        Args:
            slice: one slice; None: all.
            beams: number of beams, 1 is greedy; None: all.
        """
        return self._judged("generations", slice, beams)

    def verdicts(self, slice: str | None = None, *, beams: int | None = None) -> pl.DataFrame:
        """The verdict on each solution: ``correct``, the first ``error`` with its ``sentence`` and ``parameter``, and what was unnecessary.

        >>> shares = mind.verdicts(beams=1).group_by("slice").agg(pl.col("correct").mean(), pl.len())
        >>> set(shares["slice"]) == set(mind.slices)
        True

        Args:
            slice: one slice; None: all.
            beams: number of beams, 1 is greedy; None: all.
        """
        return self._judged("verdicts", slice, beams)

    def queries(self, slice: str, task: TaskName | None = None) -> pl.DataFrame:
        """The queries of the probes: one row per query, with the true answer (``label``) and the names of the parameters.

        >>> mind.queries("op<=max", "nece").select("problem", "position", "name", "label").columns
        ['problem', 'position', 'name', 'label']

        Args:
            slice: a slice that is probed, or ``probe_train``, the set that probes are trained on.
            task: nece, dep, known, value, can_next or nece_next; None: all.
        """
        from igsm_pipeline.notebook.frames import read_frame, with_names
        from igsm_pipeline.queries.write import queries_file

        tasks = self.settings.probes.tasks if task is None else (self._task(task),)
        folder = self.folder("probe_queries", self._known("probe_queries", slice))
        return with_names(read_frame(queries_file(folder, one) for one in tasks), self.batch(slice))

    def predictions(self, slice: str) -> pl.DataFrame:
        """Every probe's answer to every query of a slice: ``probe`` (v_probe, linear, random, linear_random), ``layer``, ``prediction``, ``score``.

        >>> said = mind.predictions("op<=max")
        >>> said.filter(probe="v_probe", task="nece").select("name", "label", "prediction", "score").height > 0
        True

        Args:
            slice: a slice that is probed.
        """
        from igsm_pipeline.notebook.frames import with_names

        return with_names(self._scored("predictions", slice), self.batch(slice))

    def scores(self, slice: str | None = None, task: TaskName | None = None) -> pl.DataFrame:
        """The scores of the probes: accuracy, balanced accuracy, AUROC and more with 95% intervals, per task, probe, layer, slice and subset.

        >>> mind.scores("op<=max", "nece").filter(probe="v_probe", subset="all").select("balanced_accuracy", "balanced_accuracy_gain").height > 0
        True

        Args:
            slice: one slice; None: all that are probed.
            task: one task; None: all.
        """
        table = self._scored("metrics", slice)
        return table if task is None else table.filter(pl.col("task") == self._task(task))

    def distances(self, slice: str | None = None) -> pl.DataFrame:
        """Accuracy on necessary parameters per layer and distance to the query (figures 10 and 14).

        >>> "distance" in mind.distances().columns
        True

        Args:
            slice: one slice; None: all that are probed.
        """
        return self._scored("distances", slice)

    def mental_state(self, slice: str | None = None) -> pl.DataFrame:
        """The dense map: the V-probes' answers about every parameter at every sentence, for the first problems of a slice, with names.

        >>> mind.mental_state("op<=max").select("problem", "task", "position", "name", "label", "prediction").height > 0
        True

        Args:
            slice: one slice; None: all that are probed.
        """
        return self._scored("mental_state", slice)

    @property
    def correlation(self) -> pl.DataFrame:
        """How often probes share the model's mistakes: rates of figure 8 with intervals, per figure (a, b), task and slice.

        >>> set(mind.correlation["figure"]) <= {"a", "b"}
        True
        """
        return self._correlated("correlation")

    @property
    def mistake_predictor(self) -> pl.DataFrame:
        """How well the states at the end of the question predict a wrong solution: AUROC per target, slice and set of features.

        >>> "auroc" in mind.mistake_predictor.columns
        True
        """
        return self._correlated("mistake_predictor")

    def states(self, layer: int, slice: str = "op<=max", *, arm: Arm = "trained", at: Literal["queries", "sentences"] = "queries") -> pl.DataFrame:
        """The hidden states of one layer, where they are kept (``probes.keep_states: all``, or ``chosen`` with the layer in ``kept_layers``).

        >>> kept = mind.states(-1)
        >>> kept.columns
        ['problem', 'position', 'parameter', 'parameter_b', 'state']
        >>> kept["state"].to_numpy().shape == (kept.height, mind.settings.model.width)
        True

        Args:
            layer: the layer; 0 is the embedding, the last one is taken after the final norm, and -1 means the last that is kept.
            slice: a slice that is probed, or ``probe_train``.
            arm: ``trained``, or ``random``: the control, a model with random weights.
            at: at the end of every query, or at the end of every sentence (then there are no columns of parameters).

        Returns:
            The key of each state, and ``state``, float32, d_model numbers.
        """
        from igsm_pipeline.activations.cache import QUERY_KEY, SENTENCE_KEY, layers_of
        from igsm_pipeline.notebook.frames import read_states

        known = self._known("probe_queries", slice)
        folder = self.folder("activation_cache", f"{known} {one_of('arm', arm, ARMS)}")
        layers = layers_of(folder)
        number = whole_number("layer", layer, -len(layers), None, f"name one of {', '.join(map(str, layers))}, or -1 for the last")
        chosen = layers[number] if number < 0 else number
        if chosen not in layers:
            raise BadInput("layer", f"must be one of {', '.join(map(str, layers))}, or count from the last (-1)", layer, "name another")
        return read_states(folder, chosen, QUERY_KEY if one_of("at", at, ("queries", "sentences")) == "queries" else SENTENCE_KEY, at)

    def probe(self, task: TaskName, *, arm: Arm = "trained", device: str = "cpu") -> Probe:
        """The trained V-probe of a task, ready to be asked.

        >>> said = mind.probe("nece").ask(mind.batch("op<=max").take(slice(0, 1)))
        >>> said.select("name", "label", "prediction", "score").height > 0
        True

        Args:
            task: nece, dep, known, value, can_next or nece_next.
            arm: ``trained``, or ``random``: the probe of the control, a model with random weights.
            device: where to compute.
        """
        from igsm_pipeline.model.device import pick_device
        from igsm_pipeline.notebook.probe import Probe

        probes, family = self.settings.probes, self.settings.family
        folder = self.folder("v_probes", f"{self._task(task)} {one_of('arm', arm, ARMS)}")
        model = self.checkpoint if arm == "trained" else self.folder("control")
        asked = QuerySettings(family=family, task=task, candidates=probes.candidates)
        return Probe(asked, self.settings.tokens, self.world, folder, model, pick_device(device))

    def _judged(self, stage: str, slice: str | None, beams: int | None) -> pl.DataFrame:
        from igsm_pipeline.notebook.frames import read_frame

        parts = self.slices if slice is None else (self._known("verdicts", slice),)
        asked = self.settings.evaluation.beams
        chosen = asked if beams is None else (one_of("beams", beams, asked),)
        frames = []
        for part in parts:
            for each in chosen:
                rows = read_frame([self.folder(stage, f"{part} beam {each}") / f"{stage}.parquet"])
                frames.append(rows.select(pl.lit(part).alias("slice"), pl.lit(each).alias("beams"), pl.all()))
        return pl.concat(frames)

    def _scored(self, stem: str, slice: str | None) -> pl.DataFrame:
        from igsm_pipeline.notebook.frames import read_frame

        parts = self._parts("probe_scores") if slice is None else (self._known("probe_scores", slice),)
        frames = []
        for part in parts:
            rows = read_frame(sorted(self.folder("probe_scores", part).glob(f"{stem}*.parquet")))
            frames.append(rows.select(pl.lit(part).alias("slice"), pl.all().exclude("slice")))
        return pl.concat(frames, how="diagonal_relaxed")

    def _correlated(self, stem: str) -> pl.DataFrame:
        from igsm_pipeline.notebook.frames import read_frame

        return read_frame([self.folder("error_correlation") / f"{stem}.parquet"])

    def _parts(self, stage: str) -> tuple[str, ...]:
        """What a stage of the member has, beams left out, in the order of the plan."""
        return tuple(dict.fromkeys(unit.name.partition(" beam ")[0] for unit in units_of(self.member) if unit.stage == stage))

    def _known(self, stage: str, slice: str) -> str:
        return one_of("slice", slice, self._parts(stage))

    def _task(self, task: str) -> str:
        return one_of("task", task, self.settings.probes.tasks)


def _first(number: int) -> slice:
    return slice(whole_number("first", number, 0, None, "leave it out for all"))


def _share_correct(accuracy: Mapping[str, Sequence[int]]) -> float | None:
    """The share of fully correct solutions over all ops, from the counts of a row of metrics.jsonl; None without counts."""
    right, total = (sum(count[place] for count in accuracy.values()) for place in (0, 1))
    return right / total if total else None
