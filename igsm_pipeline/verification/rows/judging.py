"""Verifies one row, or says why it cannot be verified.

A row is first verified as it is. Only if it is not right, its texts are spelt as the generator spells them and verified again. So exact texts cost
nothing, and no text becomes wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from igsm_pipeline.errors import BadProblem
from igsm_pipeline.problems.modulus import LARGEST_MODULUS, whole_modulus
from igsm_pipeline.text import parse_problem
from igsm_pipeline.verification.lookup import Tables, tables_of
from igsm_pipeline.verification.quick_problem import quick_tables
from igsm_pipeline.verification.rows.answers import plain_answer, split_answer
from igsm_pipeline.verification.rows.columns import Columns, Fields
from igsm_pipeline.verification.rows.sources import NumberedRow, parse_line
from igsm_pipeline.verification.rows.spelling import Spelling, speller_of
from igsm_pipeline.verification.verdict import Verdict
from igsm_pipeline.verification.verifier import verify_by
from igsm_pipeline.world import World, builtin_worlds, load_world

MODULUS = 23
"""Of rows that say none."""
_MOST_DIGITS = 20
"""Python refuses to read numbers of thousands of digits."""
_ANSWER_WAY_OUT = "give its answer, or leave out the column (then the last number of the solution counts)"


@dataclass(frozen=True)
class Judged:
    """A row and its verdict.

    Attributes:
        number: of the row, from 1 (in a file of JSON lines: of the line).
        op: operations of its problem.
        verdict: on its solution.
        spellings: what was spelled otherwise than the generator does.
        answered: it gives an answer beside or after the solution; without one the last number of the solution counts.
    """

    number: int
    op: int
    verdict: Verdict
    spellings: tuple[Spelling, ...] = ()
    answered: bool = True


@dataclass(frozen=True)
class Refused:
    """A row that could not be judged, by number (from 1), and why not.

    Attributes:
        field: what of the row is at fault, without its running number (reasons are counted by it).
        rule: what must hold of it.
    """

    number: int
    reason: str
    field: str = ""
    rule: str = ""


@dataclass(frozen=True)
class Judging:
    """How rows are judged.

    Attributes:
        world: of the problems; None: the one that a row names, else the built-in "igsm".
        modulus: M; None: the one that a row names, else 23.
        strict: see ``verify``.
        exact: byte for byte, without spelling anything otherwise.
        columns: field -> key of the rows, where the key is not the field's name.
    """

    world: World | None = None
    modulus: int | None = None
    strict: bool = True
    exact: bool = False
    columns: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a modulus that is none, once instead of at every row."""
        if self.modulus is not None:
            object.__setattr__(self, "modulus", whole_modulus(self.modulus))

    def judge_all(self, rows: Iterable[NumberedRow]) -> Iterator[Judged | Refused]:
        """A verdict or a refusal for every row, lazily and in order."""
        columns = Columns(self.columns)
        return (self.judge(number, row, columns) for number, row in rows)

    def judge(self, number: int, row: object, columns: Columns) -> Judged | Refused:
        """The verdict on one row; ``row`` may be a line of JSON as bytes."""
        try:
            fields = columns.read(parse_line(row) if isinstance(row, bytes) else row)
            world, modulus = self.origin(fields)
            return _judge_exactly(number, fields, world, modulus, self.strict) if self.exact else self._judge(number, fields, world, modulus)
        except BadProblem as error:
            return Refused(number, str(error), error.field, error.rule)

    def _judge(self, number: int, fields: Fields, world: World, modulus: int) -> Judged | Refused:
        failure: BadProblem | None = None
        first: Judged | None = None
        try:
            first = _judge_exactly(number, fields, world, modulus, self.strict)
            if first.verdict.correct and (first.answered or not fields.expects_answer):
                return first if fields.layout is None else Judged(number, first.op, first.verdict, (fields.layout,), first.answered)
        except BadProblem as error:
            failure = error
        found: set[Spelling] = set() if fields.layout is None else {fields.layout}
        text, solution, answer, inner = respell(fields, world, found, modulus)
        if fields.expects_answer and answer is None and inner is None:
            raise BadProblem("answer", "must be given where other rows have one", fields.answer, _ANSWER_WAY_OUT)
        if not found and first is not None:
            return first
        if not found and failure is not None:
            raise failure
        tables = read_tables(text, world, modulus, self.strict)
        verdict = verify_by(tables, solution, inner if answer is None else answer, self.strict)
        if verdict.correct and answer is not None and inner is not None and inner != answer:
            verdict = verify_by(tables, solution, inner, self.strict)
        return Judged(number, tables.op, verdict, tuple(sorted(found)), answer is not None or inner is not None)

    def origin(self, fields: Fields) -> tuple[World, int]:
        """World and modulus of a row.

        Raises:
            BadProblem: the row names a modulus that is none, or a world that is not known here.
        """
        world, modulus = self.world, self.modulus
        if not fields.origin:
            return world or _builtin("igsm"), MODULUS if modulus is None else modulus
        if modulus is None:
            modulus = named_modulus(fields.origin) or MODULUS
        return world or named_world(fields.origin), modulus


def named_world(origin: Mapping[str, Any]) -> World:
    """The built-in world that a row names, "igsm" where it names none; a file that a row names is never opened.

    Raises:
        BadProblem: it is no built-in world, or one of another content.
    """
    named, wanted = origin.get("world"), origin.get("world_hash")
    for name in _builtins() if named is None and wanted is not None else ("igsm" if named is None else str(named),):
        if name in _builtins():
            world = _builtin(name)
            if wanted in (None, world.content_hash):
                return world
    got = " ".join(str(one)[:40] for one in (named, wanted) if one is not None)
    raise BadProblem("world", "must be a built-in world of that content where the row alone says which", got, "name its file with --world")


@lru_cache(maxsize=1)
def _builtins() -> tuple[str, ...]:
    """The names of the built-in worlds, looked for once."""
    return builtin_worlds()


@lru_cache(maxsize=16)
def _builtin(name: str) -> World:
    """A built-in world, read once."""
    return load_world(name)


def respell(fields: Fields, world: World, found: set[Spelling], modulus: int | None = None) -> tuple[str, str, str | None, str | None]:
    """Problem with question, solution, answer, and the answer at the end of the solution, as the generator spells them.

    Args:
        fields: of the row.
        world: its names are left as they are.
        found: takes in what was spelled otherwise.
        modulus: M, which an answer may name.
    """
    speller = speller_of(world)
    text = speller.respell_problem(fields.problem, found) + speller.respell_problem(fields.question, found)
    solution, inner = split_answer(speller.respell(fields.solution, found, led=True, prose=True), modulus)
    if inner is not None:
        found.add(Spelling.ANSWER_AT_END)
    solution = speller.respell_steps(solution, found)
    if fields.answer is None or not fields.answer.strip():
        return text, solution, None, inner
    bare = speller.respell(fields.answer, found)
    answer = plain_answer(bare, modulus)
    if answer is not None and answer != bare:
        found.add(Spelling.ANSWER_FORM)
    return text, solution, bare if answer is None else answer, inner


@lru_cache(maxsize=128)
def read_tables(text: str, world: World, modulus: int, strict: bool) -> Tables:
    """What verification needs of a problem's text, remembered for the next rows: a file often holds many solutions of one problem.

    Raises:
        BadProblem: see ``parse_problem``.
    """
    quick = quick_tables(text, world, modulus) if strict else None
    return tables_of(parse_problem(text, world, modulus)) if quick is None else quick


def _judge_exactly(number: int, fields: Fields, world: World, modulus: int, strict: bool) -> Judged:
    tables = read_tables(_spaced(fields.problem) + _spaced(fields.question), world, modulus, strict)
    answered = fields.answer is not None and bool(fields.answer.strip())
    return Judged(number, tables.op, verify_by(tables, fields.solution, fields.answer, strict), (), answered)


def _spaced(text: str) -> str:
    text = text.strip()
    return f" {text}" if text else ""


def named_modulus(origin: Mapping[str, Any]) -> int | None:
    """The modulus that a row names; None where it names none.

    Raises:
        BadProblem: it is no modulus.
    """
    given = origin.get("modulus")
    if given is None:
        return None
    if isinstance(given, str) and given.isdecimal() and len(given) < _MOST_DIGITS:
        given = int(given)
    if isinstance(given, bool) or not isinstance(given, int | float) or not 2 <= given <= LARGEST_MODULUS or given != int(given):
        raise BadProblem("modulus", f"must be a whole number from 2 to {LARGEST_MODULUS}", given, "correct it, or give --modulus")
    return int(given)
