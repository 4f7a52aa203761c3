"""Finds what most failures of a file have in common, as a sentence: another modulus, another world, one wording."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from math import gcd

from igsm_pipeline.errors import BadProblem
from igsm_pipeline.text import BadSolution, parse_solution
from igsm_pipeline.verification.rows.columns import Columns, Fields
from igsm_pipeline.verification.rows.judging import Judged, Judging, Refused, respell
from igsm_pipeline.verification.rows.sources import parse_line
from igsm_pipeline.verification.verdict import Error
from igsm_pipeline.world import World, builtin_worlds, load_world

MAX_SAMPLES = 32
"""Number of failed rows that are examined."""
MAX_MODULUS = 1 << 20
_STEP = re.compile(r"= (-?\d{1,9}) ([+*-]) (-?\d{1,9}) = (-?\d{1,18})(?=[.;])")
Sample = tuple[object, Judged | Refused]
"""A row that is not right: its fields, and its verdict or refusal."""


def find_hints(samples: Sequence[Sample], judging: Judging) -> list[str]:
    """Sentences about what failed rows have in common, the most likely cause first; none if they have nothing in common.

    Args:
        samples: the first rows that are not right.
        judging: how they were judged.
    """
    read = list(_read(samples, judging))
    hints = [*_other_world(read, judging), *_other_modulus(read, judging)]
    return hints or list(_same_place(read, judging))


def _read(samples: Sequence[Sample], judging: Judging) -> Iterator[tuple[Fields, Judged | Refused]]:
    columns = Columns(judging.columns)
    for row, outcome in samples[:MAX_SAMPLES]:
        try:
            yield columns.read(parse_line(row) if isinstance(row, bytes) else row), outcome
        except BadProblem:
            continue


def _other_world(read: Sequence[tuple[Fields, Judged | Refused]], judging: Judging) -> Iterator[str]:
    """Another built-in world that has the names of the refused problems, and the modulus that makes them right."""
    refused = [fields for fields, outcome in read if isinstance(outcome, Refused) and outcome.field.startswith(("statement", "question", "text"))]
    if not refused:
        return
    for name in builtin_worlds():
        world = load_world(name)
        if judging.world is not None and world == judging.world:
            continue
        for modulus in dict.fromkeys((judging.modulus or 23, *_moduli(refused))):
            right = _count_right(refused, world, modulus, judging.strict)
            if 2 * right > len(refused):
                yield f"{right} of the {len(refused)} refused rows looked at are right with --world {name} --modulus {modulus}"
                return


def _other_modulus(read: Sequence[tuple[Fields, Judged | Refused]], judging: Judging) -> Iterator[str]:
    """Another modulus that makes the wrong solutions right; or that their numbers were never reduced."""
    wrong = [fields for fields, outcome in read if isinstance(outcome, Judged) or "number below" in outcome.rule]
    if not wrong:
        return
    world, current = judging.origin(wrong[0])
    for modulus in _moduli(wrong):
        right = _count_right(wrong, world, modulus, judging.strict) if modulus != current else 0
        if 2 * right > len(wrong):
            yield f"{right} of the {len(wrong)} wrong rows looked at are right with --modulus {modulus}"
            return
    unreduced = sum(any(not difference and result >= current for difference, result in _differences(fields.solution)) for fields in wrong)
    kept = sum(all(not difference for difference, _ in _differences(fields.solution)) for fields in wrong)
    if 2 * unreduced > len(wrong) and 2 * kept > len(wrong):
        yield f"{unreduced} of the {len(wrong)} wrong rows looked at give numbers without the modulus; every result must be taken mod {current}"


def _differences(solution: str) -> list[tuple[int, int]]:
    """For each step with two operands: the operation's result minus the stated one, and the stated one."""
    found = []
    for n, operator, m, stated in _STEP.findall(" ".join(solution.split())):
        left, right = int(n), int(m)
        result = left + right if operator == "+" else left * right if operator == "*" else left - right
        found.append((result - int(stated), int(stated)))
    return found


def _moduli(rows: Sequence[Fields]) -> list[int]:
    """Moduli that fit every step of most rows, the most likely first: their steps differ from plain arithmetic by multiples of it."""
    votes: Counter[int] = Counter()
    for fields in rows:
        steps = _differences(fields.solution)
        common = gcd(*(difference for difference, _ in steps)) if steps else 0
        largest = max((stated for _, stated in steps), default=0)
        if common:
            votes.update(one for one in _divisors(common) if one > largest)
    return [modulus for modulus, _ in sorted(votes.items(), key=lambda item: (-item[1], -item[0]))[:4] if 2 <= modulus <= MAX_MODULUS]


def _divisors(number: int) -> Iterator[int]:
    for one in range(1, int(min(abs(number), 1 << 22) ** 0.5) + 1):
        if number % one == 0:
            yield one
            yield abs(number) // one


def _count_right(rows: Sequence[Fields], world: World, modulus: int, strict: bool) -> int:
    judging = Judging(world, modulus, strict)
    names = ("problem", "question", "solution", "answer")
    given = ({name: getattr(fields, name) for name in names if name != "answer" or fields.expects_answer} for fields in rows)
    outcomes = (judging.judge(0, row, Columns()) for row in given)
    return sum(isinstance(one, Judged) and one.verdict.correct for one in outcomes)


def _same_place(read: Sequence[tuple[Fields, Judged | Refused]], judging: Judging) -> Iterator[str]:
    """One kind of error at one place in most of the rows, with the text there in the first of them."""
    judged = [(fields, outcome) for fields, outcome in read if isinstance(outcome, Judged)]
    places = Counter((one.verdict.error, one.verdict.sentence) for _, one in judged)
    if not places:
        return
    (error, sentence), number = places.most_common(1)[0]
    if number < 2 or 2 * number <= len(read) or error is None:
        return
    fields, first = next((fields, one) for fields, one in judged if (one.verdict.error, one.verdict.sentence) == (error, sentence))
    yield f"{number} of the {len(read)} rows looked at fail with {error.value} in sentence {sentence} (from 0){_standing(fields, first, judging)}"


def _standing(fields: Fields, first: Judged, judging: Judging) -> str:
    if first.verdict.error is not Error.PARSE:
        return ""
    solution = fields.solution if judging.exact else respell(fields, judging.origin(fields)[0], set())[1]
    try:
        parse_solution(solution)
    except BadSolution as error:
        return f"; row {first.number} {error.rule}, got {error.got!r}"
    return ""
