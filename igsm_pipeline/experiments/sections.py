"""The sections of an experiment file that span several stages."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import Field, field_validator, model_validator

from igsm_pipeline.evaluations.settings import logs_hash
from igsm_pipeline.experiments.slices import check_slice
from igsm_pipeline.interventions.settings import ERASABLE, STRENGTHS, Where, check_erasable
from igsm_pipeline.knowledge.settings import Control
from igsm_pipeline.own_problems.settings import content_of_file
from igsm_pipeline.probes.settings import LinearProbeSettings, Precision, Prior, VProbeSettings
from igsm_pipeline.problems.settings import NO_RETRIES, RetrySettings
from igsm_pipeline.queries.settings import Candidates
from igsm_pipeline.queries.tasks import ALL_TASKS, TaskName
from igsm_pipeline.regret.settings import TRIES
from igsm_pipeline.settings import Settings, added_field
from igsm_pipeline.tokens.settings import NO_DRILLS, Alignment, DrillSettings, WindowSettings

T = TypeVar("T")


class ShardsSection(Settings):
    """The training set: how many problems it has, and how they are put into windows."""

    num_problems: int = Field(200_000, ge=1, description="problems of the training set; not used with streaming")
    window: int = Field(768, ge=32, le=1 << 16, description="tokens per window")
    alignment: Alignment = "aligned"
    streaming: bool = Field(False, description="make new problems throughout the training; nothing is kept on disk")
    seed: int = Field(0, ge=0, description="seed of the training problems")
    retry: RetrySettings = added_field(NO_RETRIES, description="what is named and taken back in the training solutions")
    drills: DrillSettings = added_field(NO_DRILLS, description="solutions without a problem, mixed into the training set")

    @property
    def windows(self) -> dict[str, Any]:
        """The settings that stored windows and those of a stream have in common."""
        return {name: getattr(self, name) for name in WindowSettings.model_fields}

    @model_validator(mode="after")
    def _only_a_stream_is_led(self) -> Self:
        if self.drills.lead and not self.streaming:
            raise ValueError("streaming must be true for drills that lead, got False: stored windows are shuffled; set it, or drills.lead to 0")
        return self


class ProblemsSection(Settings):
    """Where the problems come from: drawn by the law, or read from a file of one's own."""

    source: str | None = Field(
        None,
        min_length=1,
        description="file of problems as `igsm verify` reads them, counted from the folder of the experiment file; every problem set is then taken"
        " from it, by split and op; None: they are drawn",
    )

    def canonical(self) -> dict[str, object]:
        """The hash of the file, its name left out; raises what ``content_of_file`` raises."""
        return {} if self.source is None else {"content": content_of_file(Path(self.source))}


class EvaluationSection(Settings):
    """How the trained model is evaluated. Source: 4,096 problems a slice, 2,048 tokens, beams 1 and 4 (arXiv:2407.20311, app. F)."""

    slices: tuple[str, ...] = ("op<=max", "op=max", "op=max+1", "op=max+2", "reask", "by_op")
    beams: tuple[int, ...] = Field((1,), min_length=1, description="1 is greedy; more is beam search with sampling")
    temperature: float = added_field(0.0, ge=0, le=10, description="above 0: with beam 1 every token is drawn, its logits divided by this; 0: greedy")
    num_problems: int = Field(4096, ge=1, description="problems per slice")
    problems_per_op: int = Field(256, ge=1, description="problems per op of by_op")
    monitor_per_op: int = Field(32, ge=1, description="problems that are solved during the training, per op and per slice of monitor_slices")
    monitor_slices: tuple[str, ...] = Field((), description="slices that are solved during the training, besides every op up to op_max")
    max_tokens: int = Field(2048, ge=16, description="most tokens of prompt and completion together")
    seed: int = Field(0, ge=0, description="seed of the evaluation problems")

    @field_validator("slices", "monitor_slices")
    @classmethod
    def _slices_have_names(cls, slices: tuple[str, ...]) -> tuple[str, ...]:
        return _distinct(tuple(check_slice(name) for name in slices), "slices")

    @field_validator("beams")
    @classmethod
    def _beams_differ(cls, beams: tuple[int, ...]) -> tuple[int, ...]:
        if min(beams) < 1:
            raise ValueError("beams must be at least 1: correct the list")
        return _distinct(beams, "beams")


class ProbesSection(Settings):
    """How the model's states are probed."""

    tasks: tuple[TaskName, ...] = ALL_TASKS
    candidates: Candidates = "existing"
    per_problem: int = Field(10, ge=1, le=1000, description="most queries per problem and task")
    slices: tuple[str, ...] = Field(("op<=max", "op=max", "op=max+1"), description="evaluation slices that probes are scored on")
    slice_problems: int | None = Field(None, ge=1, description="ask about the first so many problems of each slice; None: about all")
    num_problems: int = Field(20_000, ge=1, description="problems that probes are trained on")
    num_steps: int = Field(VProbeSettings.model_fields["num_steps"].default, ge=1, description="training steps of a V-probe")
    batch_problems: int = Field(VProbeSettings.model_fields["batch_problems"].default, ge=1, description="problems per step of a V-probe")
    rank: int = Field(VProbeSettings.model_fields["rank"].default, ge=1, description="rank of the V-probe's update of the input embedding")
    learning_rate: float = Field(VProbeSettings.model_fields["learning_rate"].default, gt=0, description="of a V-probe")
    warmup_steps: int = Field(VProbeSettings.model_fields["warmup_steps"].default, ge=0, description="steps over which a V-probe's rate rises")
    starts: int = Field(VProbeSettings.model_fields["starts"].default, ge=1, le=100, description="initial values that a V-probe tries")
    start_steps: int = Field(VProbeSettings.model_fields["start_steps"].default, ge=1, description="steps of each trial of a V-probe")
    weight_decay: float = Field(VProbeSettings.model_fields["weight_decay"].default, ge=0, description="of a V-probe")
    layers: tuple[int, ...] = added_field((), description="layers whose output a V-probe of nece reads as well, counted from 1 (figures 10 and 14)")
    held_out: int = added_field(0, ge=0, description="training problems that no V-probe sees, at most half; each is scored on them as it trains")
    prior: Prior = added_field(
        "training", description="how common probes and the text's trees take each answer to be: as in training, or uniform (probes/prior.py)"
    )
    precision: Precision = added_field(
        "fp32", description="of the frozen model when V-probes are trained and scored; auto: bf16 on GPUs, fp32 on CPUs"
    )
    keep_states: Literal["all", "chosen", "none"] = added_field(
        "all",
        description="states on the disk: of all layers; chosen: of kept_layers, for a notebook; none. Linear probes read kept ones with all, "
        "and compute the same numbers otherwise",
    )
    kept_layers: tuple[int, ...] = added_field((), description="the layers that keep_states chosen keeps; 0 is the embedding")
    linear_l2: float = Field(LinearProbeSettings.model_fields["l2"].default, gt=0, description="penalty of linear probes")
    seed: int = Field(0, ge=0, description="seed of the probes' training problems, queries and weights")

    @field_validator("slices")
    @classmethod
    def _slices_have_names(cls, slices: tuple[str, ...]) -> tuple[str, ...]:
        return _distinct(tuple(check_slice(name) for name in slices), "slices")

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        _distinct(self.tasks, "tasks")
        _distinct(self.layers, "layers")
        _distinct(self.kept_layers, "kept_layers")
        if min(self.kept_layers, default=0) < 0:
            raise ValueError("kept_layers are counted from 0, the embedding: correct the list")
        if bool(self.kept_layers) != (self.keep_states == "chosen"):
            rule = "name a layer where keep_states is chosen" if self.keep_states == "chosen" else "be empty unless keep_states is chosen"
            raise ValueError(f"kept_layers must {rule}, got {list(self.kept_layers) or 'none'}: correct one of the two")
        if self.layers and min(self.layers) < 1:
            raise ValueError("layers are counted from 1: correct the list")
        if self.layers and "nece" not in self.tasks:
            raise ValueError("layers are read by the task nece: add it to the tasks, or leave layers out")
        return self


class KnowledgeSection(Settings):
    """Which controls say whether what V-probes read is the model's, and what is claimed to come of it. Each control trains a V-probe per task."""

    controls: tuple[Control, ...] = Field(
        (), description="control_task, no_layers, permuted; none: V-probes stand beside random weights and the text only"
    )
    candidate_sets: tuple[Candidates, ...] = added_field(
        (), description="graph, existing, text, all: the same V-probes are scored on each of these sets; none: on probes.candidates alone"
    )
    claim: str = Field("", max_length=3000, description="stated before it is run, as for interchange; the report shows it")

    @field_validator("candidate_sets")
    @classmethod
    def _sets_differ(cls, sets: tuple[Candidates, ...]) -> tuple[Candidates, ...]:
        return _distinct(sets, "candidate_sets")

    @field_validator("controls")
    @classmethod
    def _controls_differ(cls, controls: tuple[Control, ...]) -> tuple[Control, ...]:
        return _distinct(controls, "controls")


class InterchangeSection(Settings):
    """Whether states are exchanged between problems that differ in their question only, and what is claimed to come of it."""

    pairs: int = Field(0, ge=0, description="problems of op_max whose question is drawn anew; 0: no states are exchanged")
    layers: tuple[int, ...] | None = Field(None, description="layers whose output is exchanged; 0 is the embedding; None: all of them")
    seed: int = Field(0, ge=0, description="seed of the problems and of the random directions")
    claim: str = Field(
        "", max_length=2000, description="stated before it is run: hypothesis, design, n, statistic, what would refute it; the report shows it"
    )

    @field_validator("layers")
    @classmethod
    def _layers_are_counted(cls, layers: tuple[int, ...] | None) -> tuple[int, ...] | None:
        return _counted(layers)


class LlmEvaluationsSection(Settings):
    """Answers of other people's models, from logs of Inspect (``inspect eval igsm_pipeline/igsm``), told beside the member's own results."""

    logs: str | None = Field(
        None, min_length=1, description="folder of the logs, counted from the folder of the experiment file; None: none are read"
    )

    def canonical(self) -> dict[str, object]:
        """The hash of what the logs hold, the folder's name left out; raises what ``logs_hash`` raises."""
        return {} if self.logs is None else {"content": logs_hash(Path(self.logs))}


class SteeringSection(Settings):
    """Whether states are pushed along the direction in which a V-probe of nece believes a parameter needed, and what is claimed to come of it."""

    problems: int = Field(0, ge=0, description="problems of op_max whose states are pushed; 0, or where nece is not probed: none")
    layers: tuple[int, ...] | None = Field(None, description="layers whose output is pushed; 0 is the embedding; None: all but the last")
    strengths: tuple[float, ...] = Field(STRENGTHS, min_length=1, description="sizes of the push, as shares of the norm of the text's states")
    seed: int = Field(0, ge=0, description="seed of the problems, of the parameters and of the random directions")
    claim: str = Field("", max_length=3000, description="stated before it is run, as for interchange; the report shows it")

    @field_validator("layers")
    @classmethod
    def _layers_are_counted(cls, layers: tuple[int, ...] | None) -> tuple[int, ...] | None:
        return _counted(layers)

    @field_validator("strengths")
    @classmethod
    def _strengths_are_shares(cls, strengths: tuple[float, ...]) -> tuple[float, ...]:
        if min(strengths) < 0:
            raise ValueError("strengths are shares of a norm, none below 0: correct the list")
        return _distinct(strengths, "strengths")


class ErasureSection(Settings):
    """Whether concepts are erased from the states of a layer, and what is claimed to come of it."""

    problems: int = Field(0, ge=0, description="problems of op_max that are solved with something erased; 0: nothing is erased")
    fit_problems: int = Field(1000, ge=2, description="training problems that erasers and linear probes learn from")
    tasks: tuple[TaskName, ...] = Field(
        ERASABLE, min_length=1, description="concepts, each about one parameter: nece, known, value, can_next, nece_next"
    )
    layers: tuple[int, ...] | None = Field(None, description="layers whose output is erased; 0 is the embedding; None: 1 to the last but one")
    at: Where = added_field("everywhere", description="where it acts: on all states of the layer (everywhere), or only behind names (names)")
    draws: int = Field(3, ge=1, le=100, description="random erasers of each rank")
    seed: int = Field(0, ge=0, description="seed of the problems, of the sentences begun and of the random directions")
    claim: str = Field("", max_length=3000, description="stated before it is run, as for interchange; the report shows it")

    @field_validator("tasks")
    @classmethod
    def _about_one(cls, tasks: tuple[TaskName, ...]) -> tuple[TaskName, ...]:
        return check_erasable(_distinct(tasks, "tasks"))

    @field_validator("layers")
    @classmethod
    def _layers_are_counted(cls, layers: tuple[int, ...] | None) -> tuple[int, ...] | None:
        return _counted(layers)


class EmergenceSection(Settings):
    """How the snapshots of a training (``training.snapshots``) are looked at, and what is claimed to come of it."""

    problems_per_op: int = Field(128, ge=1, description="test problems of each op that every snapshot solves")
    num_steps: int = Field(
        150, ge=1, description="training steps of a V-probe per task and snapshot; rank, learning_rate and warmup_steps are those of probes"
    )
    batch_problems: int = Field(8, ge=1, description="problems per step of these V-probes")
    starts: int = added_field(1, ge=1, le=100, description="initial values that each of them tries")
    start_steps: int = added_field(100, ge=1, description="steps of each trial, counted as the first steps of the training")
    seed: int = Field(0, ge=0, description="seed of the problems and of the probes")
    claim: str = Field("", max_length=3000, description="stated before it is run, as for interchange; the report shows it")


class RegretSection(Settings):
    """Whether a probe is asked after each name that the model writes, and solutions are retried where it regrets one; what is claimed to come of it.

    Its probe is one of can_next, trained as the section ``probes`` says; it need not be among the tasks there.
    """

    problems: int = Field(0, ge=0, description="problems of each evaluation slice, from its first on; 0: no probe is trained and nothing is retried")
    tries: tuple[int, ...] = Field(TRIES, min_length=1, description="most retries of a solution, one arm each")
    seed: int = Field(0, ge=0, description="seed of the training problems, of their queries, and of what is sampled anew")
    claim: str = Field("", max_length=3000, description="stated before it is run, as for interchange; the report shows it")

    @field_validator("tries")
    @classmethod
    def _tries_are_counted(cls, tries: tuple[int, ...]) -> tuple[int, ...]:
        if min(tries) < 1:
            raise ValueError("tries are counted from 1: correct the list")
        return _distinct(tries, "tries")


class BudgetSection(Settings):
    """What a member may use. A plan that needs more is refused before anything starts."""

    disk_gb: float = Field(50.0, gt=0, description="most disk that the stale units of the member may add, in 10^9 bytes")

    def canonical(self) -> dict[str, object]:
        """Empty: a budget changes no result."""
        return {}


def _counted(layers: tuple[int, ...] | None) -> tuple[int, ...] | None:
    if layers is None:
        return None
    if not layers or min(layers) < 0:
        raise ValueError("layers must name at least one, counted from 0, the embedding: correct the list, or leave it out for all")
    return _distinct(layers, "layers")


def _distinct(values: tuple[T, ...], what: str) -> tuple[T, ...]:
    if len(set(values)) != len(values):
        raise ValueError(f"{what} must not name anything twice: correct the list")
    return values
