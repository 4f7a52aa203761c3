"""Solves a problem with a model, and shows the solution sentence by sentence with the first error marked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from igsm_pipeline.errors import BadInput
from igsm_pipeline.problems.law.blocks import draw_test_problem
from igsm_pipeline.problems.problem import Problem
from igsm_pipeline.problems.settings import FamilySettings
from igsm_pipeline.text import document, parse_problem, render_answer, render_solution
from igsm_pipeline.toolbox.completions import Written, write_solution
from igsm_pipeline.toolbox.dataset import read_family
from igsm_pipeline.toolbox.solver import Solver
from igsm_pipeline.verification import Verdict, verify
from igsm_pipeline.verification.rows.columns import Columns, Fields, problem_fields
from igsm_pipeline.verification.rows.judging import named_modulus, named_world
from igsm_pipeline.verification.rows.sources import NumberedRow, is_table, open_source, parse_line, read_rows, read_stream
from igsm_pipeline.verification.rows.spelling import Spelling, speller_of
from igsm_pipeline.world import World, load_world


@dataclass(frozen=True)
class Solved:
    """A problem, the solution that a model wrote, and the verdict."""

    text: str
    problem: Problem
    written: Written
    verdict: Verdict

    def view(self, name: str) -> RenderableType:
        """Everything in colour.

        Args:
            name: name of the model.
        """
        return Group(
            Panel(Text(self.text.strip()), title="problem", title_align="left"),
            Panel(self.steps(), title=f"solution by {name}, {self.written.tokens} tokens", title_align="left"),
            self.judgement(),
        )

    def steps(self) -> Text:
        """A line per sentence: right ones are ticked, the one with the first error is crossed, later ones have no mark; then the answer."""
        wrong = self.verdict.sentence
        sentences = [part for part in self.written.solution.strip().split(". ") if part]
        lines = Text()
        for index, sentence in enumerate(sentences):
            mark, style = ("✓", "green") if wrong is None or index < wrong else ("✗", "bold red") if index == wrong else ("·", "dim")
            lines.append(f"{mark} {sentence}{'.' if index < len(sentences) - 1 else ''}\n", style=style)
        right = self.verdict.final_answer_correct
        answer = "no answer" if self.written.answer is None else f"answer {self.written.answer.strip()}"
        lines.append(f"{'✓' if right else '✗'} {answer}", style="bold green" if right else "bold red")
        lines.append("" if right else f" (it is {render_answer(self.problem).strip()})", style="red")
        return lines

    def judgement(self) -> Text:
        """The verdict in words."""
        verdict = self.verdict
        if verdict.correct:
            more = f"; {verdict.unnecessary_parameters} parameters that nobody needed" if verdict.unnecessary_parameters else ""
            return Text(f"correct: {self.problem.op} operations, every step and the answer{more}", style="bold green")
        assert verdict.error is not None
        where = f" in sentence {verdict.sentence} (counted from 0)" if verdict.sentence is not None else ""
        whose = f", which defines {verdict.parameter}" if verdict.parameter else ""
        return Text(f"wrong: {verdict.error.value.replace('_', ' ')}{where}{whose}", style="bold red")


@dataclass(frozen=True)
class GivenProblem:
    """A problem as text, with what is needed to read it.

    Attributes:
        text: statements and question as rendered, including the leading space.
        world: the problem's names.
        modulus: M.
        spellings: what the file spells in another way than the generator.
    """

    text: str
    world: World
    modulus: int
    spellings: tuple[Spelling, ...] = ()

    def problem(self) -> Problem:
        """The problem behind the text, in the reference's order.

        Raises:
            BadProblem: the text is no problem of that world.
        """
        return parse_problem(self.text, self.world, self.modulus).solved()

    def reference(self) -> str:
        """The reference solution and the answer, a line each."""
        problem = self.problem()
        return f"{render_solution(problem).strip()}\n{render_answer(problem).strip()}"


def choose_problem(
    solver: Solver | None,
    given: Fields | None,
    *,
    family: str | None,
    op: int | None,
    seed: int,
    world: str | None,
    lenient: bool,
    modulus: int | None,
) -> GivenProblem:
    """The problem in a file, or a newly drawn one of the test split.

    Options that are not given follow the model's training, else the family med and the world igsm.

    Args:
        solver: the model that will solve it.
        given: the problem of a file (see ``read_problem``); None draws one.
        family: med, hard or a YAML file.
        op: operations of a drawn problem; None: by the family's law.
        seed: seed of the draw.
        world: built-in name or file.
        lenient: accept looser names in the world that is named.
        modulus: M, also of a drawn problem.

    Raises:
        BadInput: a name or a file breaks a rule.
    """
    names = solver.world if solver is not None else None
    if world or names is None:
        names = named_world(given.origin) if given is not None and not world else load_world(world or "igsm", lenient=lenient)
    kind = solver.family if solver is not None and solver.family is not None and family is None else read_family(family or "med")
    if given is None:
        kind = kind if modulus is None else FamilySettings.parse({**kind.canonical(), "modulus": modulus}, "--modulus")
        return GivenProblem(draw_problem_text(kind, names, op, seed), names, kind.modulus)
    found: set[Spelling] = set()
    text = problem_text(given, names, kind.format, found)
    return GivenProblem(text, names, modulus or named_modulus(given.origin) or kind.modulus, tuple(sorted(found)))


def solve_problem(asked: GivenProblem, solver: Solver, *, max_length: int = 2048) -> Solved:
    """Let a model solve a problem, and verify the solution; ``max_length`` is the most tokens of problem and solution together.

    Raises:
        BadProblem: the text is no problem of its world.
        BadInput: the model's tokenizer lacks words of the problem.
    """
    problem = asked.problem()
    written = write_solution(solver.model, solver.tokenizer, asked.text, max_length=max_length)
    return Solved(asked.text, problem, written, verify(problem, written.solution, written.answer, finished=written.finished))


def draw_problem_text(family: FamilySettings, world: World, op: int | None, seed: int) -> str:
    """The text of one test problem, by the family's law or with exactly ``op`` operations."""
    return document(draw_test_problem(family, world, op, seed), family.format).prompt


def read_problem(file: Path, columns: Mapping[str, str] | None = None) -> Fields:
    """Read the problem of a file: plain text, or the first row of any file that ``igsm verify`` reads (a solution is not needed).

    Args:
        file: "-" reads standard input.
        columns: field -> key of the rows, for keys that differ from the field's name.

    Raises:
        NotFound: there is no such file.
        BadInput: it cannot be read, or has no problem.
    """
    names = Columns(columns)
    if file.is_dir():
        return _first_problem(read_rows(file, names), file, names)
    with open_source(file) as (stream, suffix):
        start = stream.peek(64)[:64]
        if is_table(start, suffix):
            return _first_problem(read_stream(stream, suffix, str(file), names), file, names)
        try:
            text = stream.read().decode("utf-16" if start.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig")
        except UnicodeDecodeError as error:
            raise BadInput(str(file), "must be text in UTF-8, or rows", str(error), "write it again in UTF-8") from None
    if not text.strip():
        raise BadInput(str(file), "must hold a problem", "an empty file", "use `igsm generate`")
    return problem_fields({"text": text}, names)


def _first_problem(rows: Iterator[NumberedRow], file: Path, columns: Columns) -> Fields:
    _, row = next(rows, (0, None))
    if row is None:
        raise BadInput(str(file), "must hold a problem", "no row", "use `igsm generate`")
    row = parse_line(row) if isinstance(row, bytes) else row
    return problem_fields(row, columns) if isinstance(row, Mapping) else columns.read(row)


def problem_text(given: Fields, world: World, format: str, found: set[Spelling]) -> str:
    """The problem as the generator writes it.

    Args:
        given: fields of a row.
        world: its names stay unchanged.
        format: pq or qp, the order of problem and question if they are separate.
        found: gets the kinds of spelling that were changed.
    """
    speller = speller_of(world)
    parts = [speller.respell_problem(given.problem, found), speller.respell_problem(given.question, found)]
    return "".join(parts if format == "pq" else reversed(parts))
