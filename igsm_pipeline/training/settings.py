"""How a model is trained."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from igsm_pipeline.model.settings import ModelSettings
from igsm_pipeline.problems.settings import FamilySettings
from igsm_pipeline.settings import Settings, runtime_field
from igsm_pipeline.tokens.settings import Alignment, TokenSettings


class TrainingSettings(Settings):
    """Optimizer, schedule, batches and what is watched.

    Source: AdamW (0.9, 0.98), linear warm-up, cosine to 0.01 of the peak, mixed precision; med: lr 2e-3, weight decay 0.05, batch 512 x 768,
    100,000 steps, 1,000 of warm-up; hard: weight decay 0.03, batch 256 x 1024, 200,000 steps. Ours: gradient clipping, Muon, ``loss_on``,
    everything about watching.
    """

    num_steps: int = Field(100_000, ge=1)
    batch_windows: int = Field(512, ge=1, description="windows per step, over all processes together")
    optimizer: Literal["adamw", "muon"] = Field("adamw", description="muon: hidden matrices by Muon, embeddings, biases and norms by AdamW")
    learning_rate: float = Field(2e-3, gt=0, description="peak")
    betas: tuple[float, float] = Field((0.9, 0.98), description="of AdamW")
    weight_decay: float = Field(0.05, ge=0, description="of matrices and embeddings; biases and norms have none")
    muon_momentum: float = Field(0.95, ge=0, lt=1)
    warmup_steps: int = Field(1000, ge=0)
    floor: float = Field(0.01, ge=0, le=1, description="where the cosine ends, as a fraction of the peak")
    gradient_clip: float = Field(1.0, ge=0, description="largest norm of the gradient; 0: no clipping")
    precision: Literal["fp32", "bf16", "fp16"] = Field("bf16", description="bf16 and fp16 are mixed precision: weights stay fp32")
    loss_on: Literal["all", "solution"] = Field("all", description="solution: only tokens after the solution marker up to the end of text")
    seed: int = Field(0, ge=0, description="of the weights, the order of the windows and dropout")
    log_every_steps: int = Field(10, ge=1, description="a row of metrics.jsonl is the mean over this many steps")
    checkpoint_every_steps: int = Field(1000, ge=1, description="how much work a crash can cost")
    accuracy_every_steps: int = Field(5000, ge=0, description="how often the monitor problems are solved; 0: never")
    monitor_problems_per_op: int = Field(32, ge=1, description="monitor problems of each op level, the same at every look")
    monitor_max_tokens: int = Field(1024, ge=1, description="longest completion while monitoring")
    device: str = runtime_field("auto", why="auto takes a GPU where there is one; the law of the result is the same, its last bits are not promised")
    compile: bool = runtime_field(False, why="torch.compile changes rounding at most; it gains on GPUs and not on CPUs without bf16 units")
    micro_batch: int = runtime_field(0, why="windows per forward pass; 0 chooses; sums are the same to rounding", ge=0)
    processes: int = runtime_field(1, why="that share every batch on this machine, 0: one per GPU; sums are the same to rounding", ge=0)
    workers: int = runtime_field(1, why="processes that generate streamed blocks; blocks do not depend on who makes them", ge=0)


class StreamSettings(Settings):
    """Training windows that are made while training instead of being read from shards.

    Ours: shard n of the stream holds the windows that ``token_shards`` would write of blocks n * blocks_per_shard and following.
    """

    window: int = Field(768, ge=16, le=1 << 16, description="tokens per window")
    alignment: Alignment = "aligned"
    seed: int = Field(0, ge=0, description="of the problems")
    block_size: int = Field(4096, ge=1, le=1 << 16, description="problems per block; part of what a block is")
    blocks_per_shard: int = Field(8, ge=1, description="blocks that are packed and shuffled together; a window never crosses shards")


class CheckpointSettings(Settings):
    """Everything a checkpoint depends on besides its inputs: family and tokens (which say what the data mean), streamed data, model and training."""

    family: FamilySettings
    tokens: TokenSettings = TokenSettings()
    stream: StreamSettings | None = Field(None, description="how windows are made while training; without it they are read from shards")
    model: ModelSettings = ModelSettings()
    training: TrainingSettings = TrainingSettings()

    def canonical(self) -> dict[str, Any]:
        """As the base class; stored data leave no trace of ``stream``, and a foreign model none of how it would be trained."""
        unread = {"stream", "training"} if self.model.path is not None else {"stream"} if self.stream is None else set()
        return {name: value for name, value in super().canonical().items() if name not in unread}

    def runtime(self) -> dict[str, Any]:
        """What the canonical form leaves out one level down: the training's runtime fields and a foreign model's path, each in its whole section."""
        return {"model": self.model.model_dump(mode="json"), "training": self.training.model_dump(mode="json")}
