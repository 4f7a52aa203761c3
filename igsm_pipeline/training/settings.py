"""Settings: how a model is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from igsm_pipeline.model.settings import ModelSettings, checkpoint_hash
from igsm_pipeline.problems.settings import FamilySettings
from igsm_pipeline.settings import Settings, added_field, runtime_field
from igsm_pipeline.tokens.settings import TokenSettings, WindowSettings

SNAPSHOTS_MOST = 1000
Snapshots = (
    Annotated[int, Field(ge=0, le=SNAPSHOTS_MOST)]
    | Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=2, max_length=SNAPSHOTS_MOST)]
)
"""How many snapshots there are, or after which steps."""


class TrainingSettings(Settings):
    """Optimizer, schedule, batches, and what is measured during training.

    Source: AdamW (0.9, 0.98), linear warm-up, cosine to 0.01 of the peak, mixed precision; med: lr 2e-3, weight decay 0.05, batch 512 x 768,
    100,000 steps, 1,000 of warm-up; hard: weight decay 0.03, batch 256 x 1024, 200,000 steps. Ours: gradient clipping, Muon, ``loss_on``, ``cycles``,
    ``start``, everything about measuring.
    """

    num_steps: int = Field(100_000, ge=1)
    batch_windows: int = Field(512, ge=1, description="windows per step, of all processes together")
    optimizer: Literal["adamw", "muon"] = Field("adamw", description="muon trains hidden matrices by Muon, embeddings, biases and norms by AdamW")
    learning_rate: float = Field(2e-3, gt=0, description="peak")
    betas: tuple[float, float] = Field((0.9, 0.98), description="of AdamW")
    weight_decay: float = Field(0.05, ge=0, description="for matrices and embeddings; biases and norms have none")
    muon_momentum: float = Field(0.95, ge=0, lt=1)
    warmup_steps: int = Field(1000, ge=0)
    floor: float = Field(0.01, ge=0, le=1, description="last learning rate, as a fraction of the peak")
    cycles: int = added_field(1, ge=1, description="how often the learning rate rises to its peak and falls; the steps are divided evenly")
    start: str | None = added_field(
        None,
        description="folder of the weights to start from, a checkpoint or a published model, counted from the experiment file; without it, fresh",
    )
    gradient_clip: float = Field(1.0, ge=0, description="largest norm of the gradient; 0 does not clip")
    precision: Literal["fp32", "bf16", "fp16"] = Field("bf16", description="bf16 and fp16 are mixed precision: weights stay fp32")
    loss_on: Literal["all", "solution"] = Field("all", description="solution trains only on tokens after the solution marker, up to the end of text")
    snapshots: Snapshots = added_field(
        0, description="weights that are kept along the way, for the stage emergence: how many, or a list of steps; 0: none"
    )
    mask_wrong_names: bool = added_field(False, description="of a parameter that is taken back, the name is not learned (retry data)")
    seed: int = Field(0, ge=0, description="seed of the weights, of the windows' order and of dropout")
    log_every_steps: int = Field(10, ge=1, description="steps that each row of metrics.jsonl averages over")
    checkpoint_every_steps: int = Field(1000, ge=1, description="steps between two saved states; a crash loses at most these")
    accuracy_every_steps: int = Field(5000, ge=0, description="steps between two measurements of the monitor problems; 0 measures never")
    monitor_problems_per_op: int = Field(32, ge=1, description="monitor problems of each op, the same every time")
    monitor_max_tokens: int = Field(1024, ge=1, description="most tokens of a monitor completion")
    device: str = runtime_field("auto", why="auto takes a GPU if there is one; results differ by rounding only")
    compile: bool | Literal["auto"] = runtime_field("auto", why="torch.compile changes rounding only; auto compiles on a GPU, if there is a compiler")
    micro_batch: int = runtime_field(0, why="windows per forward pass, 0 chooses; sums differ by rounding only", ge=0)
    processes: int = runtime_field(0, why="processes that share every batch, 0: one per free GPU, or one; sums differ by rounding only", ge=0)
    workers: int = runtime_field(1, why="processes that generate streamed blocks; the blocks do not depend on their number", ge=0)

    @model_validator(mode="after")
    def _cycles_divide_the_steps(self) -> Self:
        if self.num_steps % self.cycles:
            raise ValueError(f"num_steps must be a multiple of cycles, got {self.num_steps} and {self.cycles}: change one of the two")
        return self

    @model_validator(mode="after")
    def _snapshots_rise_within_the_training(self) -> Self:
        if isinstance(self.snapshots, tuple):
            steps = self.snapshots
            if list(steps) != sorted(set(steps)) or steps[-1] > self.num_steps:
                raise ValueError(f"snapshots must be steps that rise, up to num_steps = {self.num_steps}, got {list(steps)}: correct the list")
        return self

    def canonical(self) -> dict[str, Any]:
        """As in the base class; weights to start from are represented by the hash of their content, not by their path.

        Raises:
            BadCheckpoint: the folder of ``start`` holds no model.
        """
        values = super().canonical()
        return values if self.start is None else {**values, "start": {"checkpoint": checkpoint_hash(Path(self.start), "training.start")}}


class StreamSettings(WindowSettings):
    """How to make training windows during the training, instead of reading shards.

    Ours: shard n of the stream has the windows that ``token_shards`` would make of the blocks from n * blocks_per_shard on.
    """

    seed: int = Field(0, ge=0, description="seed of the problems")
    block_size: int = Field(4096, ge=1, le=1 << 16, description="problems per block; it decides which problems a block has")
    blocks_per_shard: int = Field(8, ge=1, description="blocks that are packed and shuffled together; a window never crosses shards")


class CheckpointSettings(Settings):
    """All settings of a checkpoint: family and tokens (what the data mean), streamed data, model and training."""

    family: FamilySettings
    tokens: TokenSettings = TokenSettings()
    stream: StreamSettings | None = Field(None, description="how to make windows during the training; without it they are read from shards")
    model: ModelSettings = ModelSettings()
    training: TrainingSettings = TrainingSettings()

    def canonical(self) -> dict[str, Any]:
        """As in the base class, with two exceptions: ``stream`` is left out for stored data, and ``training`` for a foreign model."""
        unread = {"stream", "training"} if self.model.path is not None else {"stream"} if self.stream is None else set()
        return {name: value for name, value in super().canonical().items() if name not in unread}

    def runtime(self) -> dict[str, Any]:
        """The runtime fields of the training, and the path of a foreign model; each with its whole section, because it is one level down."""
        return {"model": self.model.model_dump(mode="json"), "training": self.training.model_dump(mode="json")}
