"""Reward functions as TRL calls them: ``GRPOTrainer(reward_funcs=[reward_function("dense", world="mini", modulus=5)], ...)``.

TRL itself is not imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from igsm_pipeline.errors import BadInput, must_be
from igsm_pipeline.verification.reward import REDUNDANCY, Completion, Kind, checked_options, completion_text, reward
from igsm_pipeline.verification.rows.judging import MODULUS, named_modulus, named_world
from igsm_pipeline.world import World

_ORIGIN = ("world", "modulus")
_COLUMNS = ("problem", "question", *_ORIGIN)


class RewardFunction(Protocol):
    """What TRL's ``reward_funcs`` takes."""

    __name__: str

    def __call__(self, prompts: Sequence[Completion], completions: Sequence[Completion], **columns: Any) -> list[float]:
        """One reward per completion."""


def reward_function(
    kind: Kind = "correct",
    *,
    world: World | str | Path = "igsm",
    modulus: int = MODULUS,
    redundancy: float = REDUNDANCY,
    needs_answer: bool = True,
    exact: bool = True,
) -> RewardFunction:
    """A function for TRL's ``reward_funcs``; its name, under which TRL logs it, is ``igsm_correct`` or ``igsm_dense``.

    Prompts and completions may be texts or chat messages. The problem is the column ``problem`` (and ``question``, if the data set has one), else the
    prompt, in a chat its last message. Columns ``world`` and ``modulus`` go before the arguments; ``world`` then names a built-in world.

    Args:
        kind, world, modulus, redundancy, needs_answer, exact: see ``reward``.

    Raises:
        BadInput: ``kind``, ``redundancy`` or ``modulus`` is none; when it is called: a column is not as long as the completions; see also ``reward``.
        BadProblem: when it is called; see ``reward``.
        NotFound, BadWorld: there is no such world.
    """
    redundancy, modulus, given = checked_options(kind, redundancy, modulus, world)

    def rewards(prompts: Sequence[Completion], completions: Sequence[Completion], **columns: Any) -> list[float]:
        used = {name: columns[name] for name in _COLUMNS if columns.get(name) is not None}
        if "problem" not in used:
            used["prompts"] = prompts
        for name, values in used.items():
            if len(values) != len(completions):
                raise BadInput(name, "must be as many as the completions", f"{len(values)} for {len(completions)}", "give one for each completion")
        problems = used.get("problem")
        if problems is None:
            problems = [completion_text(prompt, f"prompts[{number}]") for number, prompt in enumerate(prompts)]
        elif "question" in used:
            problems = [_joined(number, *both) for number, both in enumerate(zip(problems, used["question"], strict=True))]
        options: dict[str, Any] = {"kind": kind, "redundancy": redundancy, "needs_answer": needs_answer, "exact": exact}
        origins = {name: used[name] for name in _ORIGIN if name in used}
        if not origins:
            return reward(problems, completions, world=given, modulus=modulus, **options)
        found = []
        for number, (problem, completion) in enumerate(zip(problems, completions, strict=True)):
            origin = {name: values[number] for name, values in origins.items() if values[number] is not None}
            names = named_world(origin) if "world" in origin else given
            found += reward([problem], [completion], world=names, modulus=named_modulus(origin) or modulus, **options)
        return found

    rewards.__name__ = f"igsm_{kind}"
    return rewards


def _joined(number: int, problem: object, question: object) -> str:
    """Statements and question of one row, a space between."""
    for name, value in (("problem", problem), ("question", question)):
        must_be(f"{name}[{number}]", value, str, "a text", "give every row one")
    return f"{str(problem).rstrip()} {str(question).strip()}"


def igsm_correct(prompts: Sequence[Completion], completions: Sequence[Completion], **columns: Any) -> list[float]:
    """TRL reward: 1 for a fully correct completion, else 0, for problems of the world igsm mod 23 unless columns say otherwise."""
    return reward_function("correct")(prompts, completions, **columns)


def igsm_dense(prompts: Sequence[Completion], completions: Sequence[Completion], **columns: Any) -> list[float]:
    """TRL reward: the dense one of ``reward``, for problems of the world igsm mod 23 unless columns say otherwise."""
    return reward_function("dense")(prompts, completions, **columns)
