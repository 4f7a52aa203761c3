"""How text becomes tokens, and how tokens become training windows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from igsm_pipeline.problems.settings import NO_RETRIES, FamilySettings, RetrySettings
from igsm_pipeline.settings import Settings, added_field

Alignment = Annotated[
    Literal["aligned", "best_fit", "single", "stream"],
    Field(
        description="every window starts with a problem and holds the next ones, or those of the next 1,000 that fill it best; it holds one problem;"
        " or it is cut from one stream"
    ),
]
"""How documents are laid into windows; see ``tokens.windows``."""


LEAST_CONSTANTS = 2
"""Ours: constants that a drill begins with, at least; the rest of its parameters are sums of two earlier ones."""
LEAD_SHARE = 0.9
"""Ours: share of drills in the shards that lead a stream. With offset heads so many teach symbols in 400 steps (LOG.md)."""


class DrillSettings(Settings):
    """Drills: solutions without a problem, in windows of their own among the training windows; see ``tokens.drills``. Ours: the paper has none."""

    share: float = Field(0.0, ge=0, le=0.9, description="of all documents, how many are drills")
    lead: int = Field(0, ge=0, description="of a stream, how many first shards (32,768 documents each) are drills by nine tenths")
    seed: int = Field(0, ge=0, description="of the draws")

    @property
    def any(self) -> bool:
        """Whether there are drills."""
        return bool(self.share or self.lead)

    def share_of(self, number: int) -> float:
        """The share of drills among the documents of shard ``number``, counted from 0."""
        return LEAD_SHARE if number < self.lead else self.share

    @classmethod
    def in_section(cls, section: Mapping[str, Any]) -> bool:
        """Whether a section of settings as they are written, that of shards or of a stream, asks for drills."""
        return cls.model_validate(section.get("drills", {})).any


NO_DRILLS = DrillSettings.model_validate({})


class TokenSettings(Settings):
    """Segmentation and ids.

    Source: the paper uses GPT-2 BPE with GPT-2's ids (bpe, gpt2). Ours: compact ids (only the pieces that the closed language can hold) and the
    phrase segmentation (every name and every fixed phrase is one token), which has ids of its own, always compact; and the tokenizer that a foreign
    checkpoint brings (checkpoint), whose ids are its own.
    """

    segmentation: Literal["bpe", "phrase", "checkpoint"] = Field(
        "bpe", description="GPT-2's pieces, one token per name and fixed phrase, or the tokenizer in the folder of model.path"
    )
    vocab: Literal["compact", "gpt2"] = Field("compact", description="ids 0.. of the pieces that can occur, or GPT-2's own ids")

    back: bool = added_field(False, description="with a token that takes back the parameter named before it, for retry data")

    @model_validator(mode="after")
    def _foreign_tokens_take_nothing_back(self) -> Self:
        if self.back and self.segmentation == "checkpoint":
            raise ValueError("back needs tokens of the project's own, got segmentation checkpoint: use bpe or phrase")
        return self

    @model_validator(mode="after")
    def _phrases_have_no_gpt2_ids(self) -> Self:
        if self.segmentation != "bpe" and self.vocab == "gpt2":
            raise ValueError(f"segmentation {self.segmentation} has no GPT-2 ids: use vocab compact, or segmentation bpe")
        return self


class WindowSettings(Settings):
    """What training windows hold and how long they are, the same for stored windows and for a stream.

    Source: windows of 768 (med) and 1024 (hard) tokens, every window starting with a problem. Ours: ``best_fit`` (whole problems
    chosen so that windows are full), ``stream`` (windows cut from one endless stream), drills.
    """

    window: int = Field(768, ge=16, le=1 << 16, description="tokens per window")
    alignment: Alignment = "aligned"
    retry: RetrySettings = added_field(NO_RETRIES, description="what is named and taken back in the solutions")
    drills: DrillSettings = added_field(NO_DRILLS, description="solutions without a problem, beside the problems")


class ShardSettings(WindowSettings):
    """Training windows of one problem set."""

    family: FamilySettings
    tokens: TokenSettings = TokenSettings.model_validate({})
    problems_per_shard: int = Field(32768, ge=1, description="problems that one shard file takes up; a window never crosses files")
