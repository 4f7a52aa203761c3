"""A model's solution in the terminal: sentence by sentence, the first error marked and named."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from igsm_pipeline.errors import BadInput, BadSettings
from igsm_pipeline.problems.law.blocks import generate
from igsm_pipeline.problems.problem import Problem
from igsm_pipeline.problems.settings import FamilySettings, ProblemSetSettings
from igsm_pipeline.text import document, parse_problem, render_answer, render_solution
from igsm_pipeline.toolbox.completions import Written, write_solution
from igsm_pipeline.toolbox.dataset import read_family
from igsm_pipeline.toolbox.solver import Solver
from igsm_pipeline.verification import Verdict, verify
from igsm_pipeline.world import World, load_world


@dataclass(frozen=True)
class Solved:
    """A problem, what a model wrote of it, and the verdict."""

    text: str
    problem: Problem
    written: Written
    verdict: Verdict

    def view(self, name: str) -> RenderableType:
        """The whole of it in colour.

        Args:
            name: of the model.
        """
        return Group(
            Panel(Text(self.text.strip()), title="problem", title_align="left"),
            Panel(self.steps(), title=f"solution by {name}, {self.written.tokens} tokens", title_align="left"),
            self.judgement(),
        )

    def steps(self) -> Text:
        """A line per sentence: right ones ticked, the one with the first error crossed, what follows it left open; then the answer."""
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
class Asked:
    """A problem as text, and what is needed to read it.

    Attributes:
        text: statements and question as rendered, leading space included.
        world: the problem's names.
        modulus: M.
    """

    text: str
    world: World
    modulus: int

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
    solver: Solver | None, given: str | None, *, family: str | None, op: int | None, seed: int, world: str | None, lenient: bool, modulus: int | None
) -> Asked:
    """The problem in a file's content, or a freshly drawn one of the test split.

    What is not said is taken from what the model was trained on, else from med and the world igsm.

    Args:
        solver: who will be asked.
        given: content of a file; None draws.
        family: med, hard or a YAML file.
        op: operations of a drawn problem; None: by the family's law.
        seed: of the draw.
        world: built-in name or file.
        lenient: accept looser names in the world.
        modulus: M.

    Raises:
        BadInput: a name or a file breaks a rule.
    """
    names = load_world(world or "igsm", lenient=lenient) if world or solver is None or solver.world is None else solver.world
    kind = solver.family if solver is not None and solver.family is not None and family is None else read_family(family or "med")
    text = draw_problem_text(kind, names, op, seed) if given is None else read_problem_text(given, kind.format)
    return Asked(text, names, modulus or kind.modulus)


def solve_problem(asked: Asked, solver: Solver, *, max_length: int = 2048) -> Solved:
    """Have a model solve a problem, and judge it; ``max_length`` bounds the tokens of problem and solution together.

    Raises:
        BadProblem: the text is no problem of its world.
        BadInput: the model's tokenizer cannot hold it.
    """
    problem = asked.problem()
    written = write_solution(solver.model, solver.tokenizer, asked.text, max_length=max_length)
    return Solved(asked.text, problem, written, verify(problem, written.solution, written.answer, finished=written.finished))


def draw_problem_text(family: FamilySettings, world: World, op: int | None, seed: int) -> str:
    """The text of one test problem, by the family's law, or of exactly ``op`` operations."""
    law: dict[str, object] = {"law": "range"} if op is None else {"law": "exact", "op": op}
    settings = ProblemSetSettings.parse(
        {"family": family, "split": "test", "num_problems": 1, "block_size": 1, "seed": seed, "stream": "solve", **law}, "solve"
    )
    problem = next(iter(generate(settings, world)))[0]
    return document(problem, family.format).prompt


def read_problem_text(content: str, format: str) -> str:
    """The text of a problem: the file itself, or the first of the JSON lines that ``igsm generate`` writes.

    Args:
        content: of the file.
        format: pq or qp, the order of problem and question in JSON lines.

    Raises:
        BadInput: a JSON line without problem and question.
    """
    if not content.lstrip().startswith("{"):
        return " " + content.strip()
    line = content.lstrip().splitlines()[0]
    try:
        row = json.loads(line)
        parts = [row["problem"], row["question"]]
    except (ValueError, KeyError):
        raise BadInput(
            "problem file", "must hold a problem's text, or JSON lines with problem and question", line[:60], "use `igsm generate`"
        ) from None
    return " " + "".join(parts if format == "pq" else reversed(parts)).strip()


def read_text(file: Path) -> str:
    """The content of a text file; ``-`` reads standard input.

    Raises:
        BadSettings: it cannot be read.
    """
    if str(file) == "-":
        return sys.stdin.read()
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettings(str(file), "must be a text file that can be read", str(error), "name another file, or - for stdin") from None
