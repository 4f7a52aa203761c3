"""Settings: how probes are trained, and what they are scored on."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from igsm_pipeline.activations.settings import ActivationSettings
from igsm_pipeline.problems.settings import FamilySettings
from igsm_pipeline.queries.tasks import ALL_TASKS, TaskName
from igsm_pipeline.settings import Settings, added_field, runtime_field
from igsm_pipeline.tokens.settings import TokenSettings

Arm = Literal["trained", "random"]
ARMS: tuple[Arm, ...] = ("trained", "random")
"""The two models that are probed: the trained one, and the control, which has the same shape and random weights."""

Answers = Literal["true", "control_task", "permuted"]
"""What a probe is taught: the truth, a random function of what the query says, or the true answers of other queries."""


Prior = Literal["training", "uniform"]
"""How common a probe takes each answer to be: as in its training queries, or all equally, which balanced accuracy rewards (prior.py)."""

Precision = Literal["fp32", "bf16", "auto"]
"""How the frozen model's matrix products are computed: bf16 under autocast, or, with auto, so on GPUs and in fp32 on CPUs. Probes stay fp32."""


class VProbeSettings(Settings):
    """How to train the V-probe of one task on one model.

    Source: rank 8, learning rate 2e-3 without warm-up, linear decay to 0, weight decay 0.01, batch 256 (med) or 128 (hard), 100k steps.
    Ours: betas (the paper states none) as in pretraining; a batch counts problems, and each problem brings all its queries; warm-up and
    several starts, for short trainings, where about one start in two does not learn (LOG.md). The defaults are the paper's: one start, no warm-up.
    """

    family: FamilySettings
    tokens: TokenSettings = TokenSettings()
    task: TaskName
    arm: Arm = Field("trained", description="which model is probed; used in names only")
    num_steps: int = Field(100_000, ge=1)
    batch_problems: int = Field(256, ge=1, description="problems per step; each brings all its queries")
    rank: int = Field(8, ge=1, description="of the update of the input embedding")
    learning_rate: float = Field(2e-3, gt=0)
    warmup_steps: int = Field(0, ge=0, description="steps over which the learning rate rises from 0")
    starts: int = Field(1, ge=1, le=100, description="how many initial values are tried; the one with the lowest training loss is trained to the end")
    start_steps: int = Field(100, ge=1, description="steps of each trial, counted as the first steps of the training; not used with one start")
    weight_decay: float = Field(0.01, ge=0)
    betas: tuple[float, float] = (0.9, 0.98)
    precision: Precision = Field("fp32", description="of the frozen model's matrix products; auto: bf16 on GPUs, fp32 on CPUs")
    seed: int = Field(0, ge=0)
    layer: int | None = added_field(
        None, ge=0, description="the head reads the output of this layer; None: of the last one; 0: no layer (v_probe.py)"
    )
    answers: Answers = added_field("true", description="what the probe learns: the true answers, or those of a control (control_task.py)")
    held_out: int = added_field(0, ge=0, description="training problems that no step sees, at most half; the probe is scored on them as it trains")
    prior: Prior = added_field("training", description="how common the probe takes each answer to be (prior.py)")
    device: str = runtime_field("auto", why="where to compute; results differ by rounding only")
    checkpoint_every: int = runtime_field(1000, why="steps between two saved states; a resumed training gives the same probe", ge=1)


class LinearProbeSettings(Settings):
    """How to fit linear probes, one per task and cached layer of one model.

    Ours: the paper has V-probes only.
    """

    modulus: int = Field(ge=2, le=1000, description="M; the task value has a class per value and one for not known")
    tasks: tuple[TaskName, ...] = Field(ALL_TASKS, min_length=1)
    arm: Arm = Field("trained", description="which model is probed; used in names only")
    l2: float = Field(1e-3, gt=0, description="weight of the penalty on squared weights; features are standardised")
    max_iterations: int = Field(200, ge=1, description="most L-BFGS iterations of one fit")
    held_out: float = Field(0.2, gt=0, lt=1, description="share of the training problems that are left out of the fits and used to choose the layer")
    seed: int = Field(0, ge=0, description="decides which problems are held out; a fit has no randomness")
    prior: Prior = added_field("training", description="how common the probes take each answer to be (prior.py)")
    states: ActivationSettings | None = added_field(
        None, description="which states to compute, where none are kept; None: they are read from the cache"
    )
    device: str = runtime_field("auto", why="where to compute; it changes the last bits only")


class TextProbeSettings(Settings):
    """What can be read off the text of one slice without a model: the floor of every probe.

    Ours: all of it.
    """

    slice: str = Field(min_length=1, max_length=64, description="name of the slice, copied into every row")
    modulus: int = Field(ge=2, le=1000, description="number of values M, which gives the task value its classes")
    tasks: tuple[TaskName, ...] = Field(ALL_TASKS, min_length=1)
    max_queries: int = Field(40_000, ge=1, description="most training queries of a task")
    seed: int = Field(0, ge=0, description="seed of the split that stops the boosting")
    prior: Prior = added_field("training", description="how common the trees take each answer to be (prior.py)")


class ScoreSettings(Settings):
    """How to score every probe on one slice."""

    slice: str = Field(min_length=1, max_length=64, description="name of the slice, copied into every row")
    family: FamilySettings
    tokens: TokenSettings = TokenSettings()
    tasks: tuple[TaskName, ...] = Field(ALL_TASKS, min_length=1)
    mapped_problems: int = Field(16, ge=0, description="problems of the dense map, which asks about every parameter at every step")
    precision: Precision = Field("fp32", description="of the frozen model's matrix products; auto: bf16 on GPUs, fp32 on CPUs")
    num_resamples: int = Field(1000, ge=100, description="bootstrap resamples behind each interval")
    seed: int = Field(0, ge=0, description="seed of the bootstrap")
    device: str = runtime_field("auto", why="where to compute; results differ by rounding only")
    max_tokens: int = runtime_field(16384, why="most tokens per forward pass, padding included; passes are independent", ge=64)
