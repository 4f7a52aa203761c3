"""Inspect's scorers of replies, each with 95 % intervals of this package: right answer, fully correct, first error, unnecessary parameters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np
from inspect_ai.scorer import Metric, SampleScore, Score, Scorer, Target, metric, scorer
from inspect_ai.solver import TaskState

from igsm_pipeline.intervals.bootstrap import interval, mean_of
from igsm_pipeline.intervals.interval import Interval
from igsm_pipeline.intervals.share import share
from igsm_pipeline.llm.replies import final_answer, judge_reply
from igsm_pipeline.verification.verdict import Verdict

NONE = "none"
"""The first error of a reply without one."""


def verdict_on(state: TaskState) -> Verdict:
    """The verdict on a reply as a solution; see ``judge_reply``."""
    said = state.metadata
    return judge_reply(state.output.completion, said["problem"], said["world"], said["modulus"])


def _answer(state: TaskState) -> str | None:
    return final_answer(state.output.completion, state.metadata["modulus"])


def _ends(value: Interval) -> dict[str, float]:
    return {"value": value.value, "low": value.low, "high": value.high}


@metric
def share95() -> Metric:
    """The share of replies that score 1, with Wilson's interval: ``value``, ``low``, ``high``."""

    def measure(scores: list[SampleScore]) -> dict[str, float]:
        return _ends(share(sum(one.score.as_float() > 0 for one in scores), len(scores)))

    return measure


@metric
def share_by_op() -> Metric:
    """The share of replies that score 1, for each number of operations."""

    def measure(scores: list[SampleScore]) -> dict[str, float]:
        by_op: dict[int, list[bool]] = {}
        for one in scores:
            by_op.setdefault(int((one.sample_metadata or {})["op"]), []).append(one.score.as_float() > 0)
        return {f"op_{op}": sum(hits) / len(hits) for op, hits in sorted(by_op.items())}

    return measure


@metric
def mean95() -> Metric:
    """The mean over replies, with its interval by the bootstrap: ``value``, ``low``, ``high``."""

    def measure(scores: list[SampleScore]) -> dict[str, float]:
        values = np.array([one.score.as_float() for one in scores])
        return _ends(interval(np.stack([values, np.ones_like(values)], axis=1), mean_of, scale=(0.0, max(1.0, float(values.max(initial=0))))))

    return measure


@metric
def error_shares() -> Metric:
    """The share of replies by their first error."""

    def measure(scores: list[SampleScore]) -> dict[str, float]:
        counts = Counter(str(one.score.value) for one in scores)
        return {name: count / len(scores) for name, count in counts.most_common()}

    return measure


def _by_verdict(value: Callable[[Verdict], float | str]) -> Scorer:
    async def score(state: TaskState, target: Target) -> Score:
        verdict = verdict_on(state)
        place = "" if verdict.sentence is None else f"sentence {verdict.sentence + 1}: {verdict.error}, {verdict.parameter or 'no parameter'}"
        return Score(value=value(verdict), answer=_answer(state), explanation=place or "no error")

    return score


@scorer(metrics=[share95(), share_by_op()])
def right_answer() -> Scorer:
    """1 where the reply ends with the answer (``final_answer``), whatever its steps."""

    async def score(state: TaskState, target: Target) -> Score:
        answer = _answer(state)
        return Score(value=float(answer == target.text), answer=answer)

    return score


@scorer(metrics=[share95(), share_by_op()])
def fully_correct() -> Scorer:
    """1 where every step of the reply is right, and its answer."""
    return _by_verdict(lambda verdict: float(verdict.correct))


@scorer(metrics=[error_shares()])
def first_error() -> Scorer:
    """The kind of the reply's first error, or ``none``."""
    return _by_verdict(lambda verdict: NONE if verdict.error is None else str(verdict.error))


@scorer(metrics=[mean95()])
def unnecessary_parameters() -> Scorer:
    """How many parameters the reply defines rightly and without need, up to its first error (appendix G)."""
    return _by_verdict(lambda verdict: float(verdict.unnecessary_parameters))


def scorers_of(style: str) -> list[Scorer]:
    """The scorers of a style: all four for steps, for answers alone the right answer."""
    made: Iterable[Callable[[], Scorer]] = (
        (right_answer,) if style == "answer" else (right_answer, fully_correct, first_error, unnecessary_parameters)
    )
    return [one() for one in made]
