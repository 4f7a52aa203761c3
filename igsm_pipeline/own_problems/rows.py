"""The rows of a file as problems with solutions; each row that is none is refused by field, rule and value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from igsm_pipeline.errors import BadInput, BadProblem
from igsm_pipeline.own_problems.settings import FIELD, OwnProblemSettings
from igsm_pipeline.own_problems.solutions import with_drawn_solution, with_solution
from igsm_pipeline.problems.encoding import to_record
from igsm_pipeline.problems.problem import Problem
from igsm_pipeline.problems.record import SYMBOLS, Records
from igsm_pipeline.seeding import generator
from igsm_pipeline.text import parse_problem, render_solution
from igsm_pipeline.verification.lookup import tables_of
from igsm_pipeline.verification.rows.columns import Columns, Fields, problem_fields
from igsm_pipeline.verification.rows.judging import named_modulus, respell
from igsm_pipeline.verification.rows.sources import parse_line, read_rows
from igsm_pipeline.verification.verifier import verify_by
from igsm_pipeline.world import World

STREAM = "own problems"
_LEAVE_OUT = "correct it, or leave the solution out, then one is drawn"


class Read(NamedTuple):
    """The problems of a file.

    Attributes:
        records: one per row, in the file's order; ``draw`` is the number of the row (of the line, in a file of lines).
        own_solutions: rows whose solution is used.
        resaid: of these, the solutions that are written in other words than the row's (sums in another order).
    """

    records: Records
    own_solutions: int
    resaid: int


class _Row(NamedTuple):
    problem: Problem
    solution: str


def read_problem_rows(settings: OwnProblemSettings, world: World) -> Read:
    """All problems of a file.

    Raises:
        NotFound, BadInput: the file cannot be read; or a row is no problem of this world, modulus and family, with its number and how many others.
    """
    columns, records, own, resaid = Columns(), list[Records](), 0, 0
    refused: list[tuple[int, BadInput]] = []
    for number, row in read_rows(Path(settings.source), columns):
        try:
            read = _read(number, row, columns, settings, world)
            record = to_record(read.problem, world)
        except BadInput as error:
            refused.append((number, error))
            continue
        record["draw"] = number
        records.append(record)
        own += bool(read.solution)
        resaid += bool(read.solution) and render_solution(read.problem) != read.solution
    if refused:
        number, first = refused[0]
        more = f"; {len(refused) - 1:,} more rows are refused" if len(refused) > 1 else ""
        raise BadInput(f"{settings.source}: row {number}: {first.field}", first.rule, first.got, f"{first.way_out}{more}")
    if not records:
        raise BadInput(
            FIELD, "must hold problems", f"{settings.source} without a row", "write rows with problem and question, such as `igsm generate` does"
        )
    return Read(np.concatenate(records), own, resaid)


def _read(number: int, row: object, columns: Columns, settings: OwnProblemSettings, world: World) -> _Row:
    """One row as a problem with order and symbols, and its solution as the generator spells it ("" if it has none)."""
    row = parse_line(row) if isinstance(row, bytes) else row
    fields = problem_fields(row, columns) if isinstance(row, Mapping) else columns.read(row)
    _check_origin(fields, settings, world)
    text, solution, answer, inner = respell(fields, world, set())
    answer = inner if answer is None else answer
    problem = parse_problem(text, world, settings.modulus)
    if not 1 <= problem.op <= settings.num_symbols:
        rule = f"must take 1 to {settings.num_symbols} operations (family.num_symbols)"
        raise BadProblem("problem", rule, problem.op, "leave the row out, or raise family.num_symbols")
    if len(problem.statements) > settings.ip_max:
        rule = f"must have at most {settings.ip_max} statements (family.ip_max)"
        raise BadProblem("problem", rule, len(problem.statements), "leave the row out, or raise family.ip_max")
    if not solution:
        right = str(problem.values[problem.query])
        if answer is not None and answer != right:
            raise BadProblem("answer", f"must be that of the problem, {right} mod {settings.modulus}", answer, "correct it, or set family.modulus")
        return _Row(with_drawn_solution(problem, settings.num_symbols, generator(0, STREAM, number)), "")
    _check_solution(problem, solution, answer, settings)
    return _Row(with_solution(problem, solution), solution)


def _check_origin(fields: Fields, settings: OwnProblemSettings, world: World) -> None:
    """Refuse a row that says that it is of another modulus or world."""
    modulus = named_modulus(fields.origin)
    if modulus not in (None, settings.modulus):
        raise BadProblem("modulus", f"must be the family's, {settings.modulus}", modulus, "set family.modulus, or leave the row out")
    wanted = fields.origin.get("world_hash")
    if wanted not in (None, world.content_hash):
        raise BadProblem("world_hash", f"must be that of the experiment's world, {world.content_hash}", wanted, "set world.source to the rows' world")


def _check_solution(problem: Problem, solution: str, answer: str | None, settings: OwnProblemSettings) -> None:
    verdict = verify_by(tables_of(problem), solution, answer)
    if verdict.error is not None:
        where = f" in sentence {verdict.sentence}" if verdict.sentence is not None else ""
        raise BadProblem("solution", "must be right in every step", f"{verdict.error.value}{where}", _LEAVE_OUT)
    if verdict.unnecessary_parameters:
        raise BadProblem("solution", "must define nothing that the answer does not need", f"{verdict.unnecessary_parameters} unnecessary", _LEAVE_OUT)
    if verdict.unnecessary_operations:
        got = f"{problem.op + verdict.unnecessary_operations} steps"
        raise BadProblem("solution", f"must take the problem's {problem.op} operations, a step each", got, _LEAVE_OUT)
    letters = set(SYMBOLS[: settings.num_symbols])
    beyond = sorted(set(_letters(solution)) - letters)
    if beyond:
        rule = f"must use the first {settings.num_symbols} letters as symbols (family.num_symbols)"
        raise BadProblem("solution", rule, ", ".join(beyond), "raise family.num_symbols, or leave the solution out, then one is drawn")


def _letters(solution: str) -> Iterator[str]:
    """The symbols that a right solution defines."""
    return (
        step.partition(" = ")[0].removeprefix("so ") for step in solution.rstrip(".").replace(". Define ", "; Define ").split("; ") if " = " in step
    )
