"""Replies of any model: the number that one ends with, and the verdict on one as a solution."""

from __future__ import annotations

import re
from functools import lru_cache

from igsm_pipeline.verification.reward import judge_completion, problem_tables, split_completion
from igsm_pipeline.verification.rows.answers import plain_answer
from igsm_pipeline.verification.verdict import Verdict
from igsm_pipeline.world import World, load_world

_NUMBER = re.compile(r"(?<![\w.])[-+\N{MINUS SIGN}]?\d{1,18}(?![\w]|\.\d)")
_MODULUS = r"[\[(]?\\?(?:p?mod(?:ulo)?|Z_)\b[ ]?[\\{{]*{modulus}\b"


def final_answer(reply: str, modulus: int) -> str | None:
    """The number that a reply ends with: the answer after its solution, its only content, or the last number in it; None without any.

    Ours: "3 (mod 5)" and "3, since all arithmetic is modulo 5" answer 3: a modulus that is named is no answer. A negative number at the end is none
    either: the task says that every number is one of 0 to M - 1.

    Args:
        reply: what a model wrote.
        modulus: M of the problem.
    """
    found = plain_answer(reply, modulus)
    if found is None and "Define " in reply:
        found = plain_answer(split_completion(reply)[1] or "", modulus)
    if found is None:
        numbers = _NUMBER.findall(re.sub(_MODULUS.format(modulus=modulus), " ", reply, flags=re.IGNORECASE))
        found = plain_answer(numbers[-1]) if numbers else None
    return None if found is None else str(int(found))


def judge_reply(reply: str, problem: str, world: str, modulus: int) -> Verdict:
    """The verdict on a reply as a solution, spelt as the generator spells it; it needs the answer at its end.

    Args:
        reply: solution and answer.
        problem: statements and question.
        world: a built-in name, or a file.
        modulus: M.

    Raises:
        BadProblem: the problem cannot be read with these names.
    """
    names = _world(world)
    return judge_completion(problem_tables(problem, names, modulus), reply, names, exact=False)


@lru_cache(maxsize=8)
def _world(named: str) -> World:
    return load_world(named)
