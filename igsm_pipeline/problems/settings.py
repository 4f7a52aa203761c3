"""What a family of problems is, and what one problem set draws from it."""

from __future__ import annotations

import math
from itertools import product
from typing import Literal, Self

from pydantic import Field, model_validator

from igsm_pipeline.settings import Settings

MAX_IP, MAX_OP = 39, 52
LEAST_FIT = 1e-3
OWN = "own_problems"
"""As an input of a problem set: the problems of one's own that it is taken from."""


def fit_chance(s: int, ip_max: int) -> float:
    """Probability that a proposal's first draw of depth and least width, at target ``s``, fits ``ip_max`` (else they are drawn again)."""
    rel = (s - 1) / (ip_max - 1)
    exponents = {size: -((rel - center) ** 2) for size, center in ((2, 0.2), (3, 0.5), (4, 0.8))}
    weights = {size: math.exp(exponent - max(exponents.values())) for size, exponent in exponents.items()}
    fitting = sum(weights[d] * weights[t0] * weights[t1] for d, t0, t1 in product(weights, repeat=3) if (d - 1) * min(t0, t1) <= ip_max)
    return fitting / sum(weights.values()) ** 3


class RetrySettings(Settings):
    """Retry data: solutions in which wrong parameters are named and taken back; see ``problems.law.retries``.

    Source: arXiv:2408.16293 (Part 2.2), rates 0.2 and 0.5.
    """

    rate: float = Field(0.0, ge=0, le=0.9, description="probability of a retry at the beginning of a sentence, and of another one after each")
    kind: Literal["retry", "weak", "miss"] = Field(
        "retry",
        description="which parameters are wrong: retry, what cannot be computed next; weak, those of later sentences; miss, what is not yet named",
    )
    seed: int = Field(0, ge=0, description="of the draws")


NO_RETRIES = RetrySettings.model_validate({})


class FamilySettings(Settings):
    """A family: how large problems are, how they are written, how train and test are split.

    Source: med is (op_max 15, ip_max 20), hard (21, 28), modulus 23. Ours: every other value.
    """

    op_max: int = Field(15, ge=1, le=MAX_OP, description="most operations of in-distribution problems")
    ip_max: int = Field(20, ge=2, le=MAX_IP, description="most instance parameters (edges of the structure graph)")
    modulus: int = Field(23, ge=2, le=1000, description="arithmetic is mod this")
    format: Literal["pq", "qp"] = Field("pq", description="problem then question, or question then problem")
    num_symbols: int = Field(52, ge=1, le=MAX_OP, description="symbols that a solution draws from, a-zA-Z in order; the paper's: all 52")
    op_law: Literal["light", "uniform"] = Field("light", description="light: the paper's min of two uniforms; uniform: every op as often")
    split_by: Literal["template", "problem"] = Field("template", description="what the train/test hash is taken of")

    @model_validator(mode="after")
    def _structures_fit(self) -> Self:
        if fit_chance(self.op_max, self.ip_max) < LEAST_FIT:
            raise ValueError(
                f"op_max {self.op_max} must not be so far above ip_max {self.ip_max}: hardly a structure fits; lower op_max or raise ip_max"
            )
        if self.op_max > self.num_symbols:
            raise ValueError(f"num_symbols must be at least op_max {self.op_max}, one symbol per operation, got {self.num_symbols}: raise it")
        return self


class ProblemSetSettings(Settings):
    """One problem set.

    ``range`` draws op by the family's law (or, ``balanced``, every op level equally often); ``exact`` has op everywhere.
    ``reask`` redraws the query of each finished problem. A set of few problems is the beginning of a set of more, and costs no more than that.
    """

    family: FamilySettings
    law: Literal["range", "exact"] = "range"
    op: int | None = Field(None, ge=1, le=MAX_OP)
    balanced: bool = False
    reask: bool = False
    split: Literal["train", "test", "all"] = "train"
    num_problems: int = Field(ge=1)
    block_size: int = Field(4096, ge=1, le=1 << 16, description="problems per block; part of what a block is")
    seed: int = Field(0, ge=0)
    stream: str = Field(
        "train", pattern=r"^[A-Za-z0-9._=<>+ -]{1,64}$", description="names the stream of randomness: sets of different streams share nothing"
    )

    @model_validator(mode="after")
    def _law_and_op_agree(self) -> Self:
        if (self.law == "exact") != (self.op is not None):
            raise ValueError("law exact needs an op and law range takes none: set both or neither")
        if self.law == "exact" and self.balanced:
            raise ValueError("balanced belongs to law range: drop it or change the law")
        if self.op is not None and self.op > self.family.num_symbols:
            raise ValueError(f"op must be at most family.num_symbols {self.family.num_symbols}, got {self.op}: lower op or raise num_symbols")
        if self.op is not None and fit_chance(self.op, self.family.ip_max) < LEAST_FIT:
            raise ValueError(f"op {self.op} must not be so far above ip_max {self.family.ip_max}: hardly a structure fits; lower op or raise ip_max")
        return self
