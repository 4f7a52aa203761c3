"""Problems as questions to any model: instructions, worked examples from the training split, and the problem."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from igsm_pipeline.errors import BadSettings
from igsm_pipeline.experiments.slices import check_slice
from igsm_pipeline.problems import generate
from igsm_pipeline.problems.law.split import template_of
from igsm_pipeline.problems.problem import Problem
from igsm_pipeline.problems.settings import FamilySettings, ProblemSetSettings
from igsm_pipeline.text import document
from igsm_pipeline.toolbox.dataset import read_family
from igsm_pipeline.toolbox.published import Published, read_published
from igsm_pipeline.world import World, builtin_worlds, load_world

Style = Literal["answer", "steps"]
WORLD = "igsm"
POOL = 96
"""Training problems that examples are chosen from."""
SYSTEM = "You solve problems about how many things there are. All arithmetic is modulo {modulus}: every number is one of 0 to {last}."
STYLES: dict[Style, str] = {
    "answer": "Reply with the answer alone, as one number.",
    "steps": "Write the solution in exactly the form of the examples: one sentence for each quantity that the answer needs, after those that it is"
    " computed from, one operation at a time. Write the answer after the last sentence, as one number.",
}
STEPS_WITHOUT_EXAMPLES = (
    'A sentence reads "Define NAME as x; so x = 3." for a given number, "Define NAME as y; so y = x = 3." for a copy, and'
    ' "Define NAME as z; w = x + y = 3 + 4 = 2; so z = w * x = 2 * 3 = 1." for operations; NAME is that of a quantity, as "Riverside High\'s Film'
    ' Studio", and every letter stands for one number.'
)
"""Added to the style ``steps`` where no example shows the form. Its numbers are modulo 5."""


class Example(NamedTuple):
    """A question and its right reply."""

    question: str
    reply: str


@dataclass(frozen=True)
class Question:
    """One problem as it is put to a model.

    Attributes:
        number: in the draw, from 0.
        system: instructions; "" for none.
        examples: worked examples.
        text: statements and question, without a space in front.
        answer: the right answer.
        op: operations of the problem.
        problem: the problem.
    """

    number: int
    system: str
    examples: tuple[Example, ...]
    text: str
    answer: str
    op: int
    problem: Problem


@dataclass(frozen=True)
class Exam:
    """Which questions are asked.

    Attributes:
        family: of the problems.
        world: of their names.
        sets: problem sets, one after another, and how many problems of each.
        shots: examples per question.
        style: what is to be written.
        instructions: whether a system message says what to do.
        seed: of problems and examples.
    """

    family: FamilySettings
    world: World
    sets: tuple[tuple[ProblemSetSettings, int], ...]
    shots: int
    style: Style
    instructions: bool
    seed: int


def plan_exam(
    *,
    family: str = "med",
    world: str = WORLD,
    ops: str | int = "2-15",
    modulus: int = 5,
    format: str = "pq",
    shots: int = 5,
    style: str = "answer",
    instructions: bool = True,
    seed: int = 0,
    n: int = 100,
    published: str | None = None,
) -> Exam:
    """The exam that a task's parameters ask for.

    Args:
        family: med, hard, or a YAML file of family settings.
        world: a built-in name, or a file.
        ops: operations: a number, a range as "2-15", several as "2,5,9"; "law" draws them by the family's law; or an evaluation slice of
            ``published``, such as "op<=max": the first of the problems it was evaluated on.
        modulus: M; source: the paper asks hosted models with 5, trains with 23.
        format: pq or qp: problem before question, or after it.
        shots: examples per question, of the training split; none has the template of the question's own solution.
        style: answer (a number alone) or steps (the solution in the examples' form, then the answer).
        instructions: whether a system message says what to do.
        seed: of problems and examples.
        n: questions in all; several ops share them evenly.
        published: folder of a published model; its family and world go before family, world, modulus and format.

    Raises:
        BadSettings: a parameter breaks a rule.
        NotFound, BadWorld, BadInput: a file that is named cannot be used.
    """
    member = None if published is None else read_published(Path(published))
    if style not in STYLES:
        raise BadSettings("style", "must be answer or steps", style, "choose one of them")
    if n < 1 or shots < 0 or shots > POOL // 2:
        raise BadSettings("n and shots", f"must be at least 1 and 0, shots at most {POOL // 2}", (n, shots), "correct them")
    if member is None:
        kind = FamilySettings.parse({**read_family(family).canonical(), "modulus": modulus, "format": format}, "igsm task")
        names = load_world(world)
    else:
        kind, names = member.family, member.world
    sets = _sets(str(ops).replace(" ", ""), kind, member, seed, n)
    return Exam(kind, names, sets, shots, "answer" if style == "answer" else "steps", instructions, seed)


def name_world(world: str, published: str | None) -> str:
    """The world of an exam as scorers find it again from any folder: a built-in name, or the whole path of a file or of a published model."""
    if published is None and world in builtin_worlds():
        return world
    return str(Path(published or world).resolve())


def questions(exam: Exam) -> Iterator[Question]:
    """The questions of an exam; the same exam gives the same ones."""
    pool = list(_draw(exam, problem_set(exam.family, "train", exam.seed, POOL, "inspect shots"), POOL)) if exam.shots else []
    system = system_message(exam) if exam.instructions else ""
    number = 0
    for problems, count in exam.sets:
        for problem, own in _draw(exam, problems, count):
            rng = random.Random(f"{exam.seed} shots {number}")
            others = [one for one, template in pool if template != own]
            if len(others) < exam.shots:
                raise BadSettings("shots", "must be no more than there are other templates", exam.shots, "ask for fewer, or a larger family")
            examples = tuple(_example(exam, one) for one in rng.sample(others, exam.shots))
            text = document(problem, exam.family.format)
            yield Question(number, system, examples, text.prompt.strip(), text.answer.strip(), problem.op, problem)
            number += 1


def system_message(exam: Exam) -> str:
    """What a model is told before the examples."""
    parts = [SYSTEM.format(modulus=exam.family.modulus, last=exam.family.modulus - 1), STYLES[exam.style]]
    if exam.style == "steps" and not exam.shots:
        parts.append(STEPS_WITHOUT_EXAMPLES)
    return " ".join(parts)


def _example(exam: Exam, problem: Problem) -> Example:
    text = document(problem, exam.family.format)
    reply = text.answer.strip() if exam.style == "answer" else f"{text.solution.strip()}{text.answer}"
    return Example(text.prompt.strip(), reply)


def _draw(exam: Exam, problems: ProblemSetSettings, count: int) -> Iterator[tuple[Problem, bytes]]:
    """The first problems of a set, each with its template."""
    drawn = 0
    for batch in generate(problems, exam.world):
        first = batch.take(slice(0, count - drawn))
        yield from ((problem, template_of(record)) for problem, record in zip(first, first.records, strict=True))
        drawn += len(batch)
        if drawn >= count:
            return


def _sets(ops: str, family: FamilySettings, member: Published | None, seed: int, n: int) -> tuple[tuple[ProblemSetSettings, int], ...]:
    if ops == "law":
        return ((problem_set(family, "test", seed, n, "inspect"), n),)
    if ops.startswith("op") or ops in ("reask", "by_op"):
        try:
            name = check_slice(ops)
        except ValueError as error:
            raise BadSettings("ops", "must be that of an evaluation slice", ops, str(error)) from None
        if member is None:
            raise BadSettings("ops", "must be numbers where no published model is named", ops, "name its folder with -T published=FOLDER")
        problems = member.slice_settings(name)
        return ((problems, min(n, problems.num_problems)),)
    wanted = _numbers(ops)
    shares = [n // len(wanted) + (place < n % len(wanted)) for place in range(len(wanted))]
    return tuple((problem_set(family, "test", seed, count, f"inspect op={op}", op), count) for op, count in zip(wanted, shares, strict=True) if count)


def _numbers(ops: str) -> list[int]:
    found: list[int] = []
    for part in ops.split(","):
        ends = re.fullmatch(r"(\d{1,2})(?:-(\d{1,2}))?", part)
        if ends is None or int(ends[1]) > int(ends[2] or ends[1]):
            raise BadSettings("ops", "must be numbers or ranges, law, or an evaluation slice", ops, 'write 5, "2-15", "2,5,9" or law')
        found += range(int(ends[1]), int(ends[2] or ends[1]) + 1)
    return list(dict.fromkeys(found))


def problem_set(family: FamilySettings, split: str, seed: int, count: int, stream: str, op: int | None = None) -> ProblemSetSettings:
    """A problem set: all of one number of operations, or by the family's law.

    Raises:
        BadSettings: the family has no such problems.
    """
    law = "range" if op is None else "exact"
    drawn = {"family": family, "law": law, "op": op, "split": split, "num_problems": count, "seed": seed, "stream": stream}
    return ProblemSetSettings.parse(drawn, "igsm")
