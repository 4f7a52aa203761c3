"""Writes docs/gallery.md: a problem of each family with its graphs, solution, labels at each step, and verdicts on damaged solutions.

    python -m igsm_pipeline.toolbox.gallery [FOLDER]

writes the page and its drawings. Nothing in it is written by hand, and a test checks that it is up to date.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from igsm_pipeline.problems import FamilySettings, Problem, ProblemSetSettings, family_by_name, generate_block
from igsm_pipeline.problems.problem import Parameter
from igsm_pipeline.queries.labels import foundations, label_query, list_candidates
from igsm_pipeline.reports.graphs import counts, dependency_graph, structure_graph
from igsm_pipeline.text import Sentence, Step, parse_solution, render_answer, render_problem, render_question, render_sentences, render_solution
from igsm_pipeline.toolbox.packed_row import packed_row
from igsm_pipeline.verification import Verdict, verify
from igsm_pipeline.world import load_world

DOCS = Path(__file__).parents[2] / "docs"
SMALL = FamilySettings(op_max=3, ip_max=5, modulus=5, op_law="uniform", split_by="problem")
EXHIBITS: tuple[tuple[str, str, FamilySettings, int], ...] = (
    ("small", "mini", SMALL, 3),
    ("med", "igsm", family_by_name("med"), 6),
    ("hard", "igsm", family_by_name("hard"), 10),
)
"""Name, world, family and op of each problem."""

Sentences = tuple[Sentence, ...]
Damage = Callable[[Problem, Sentences], Sentences]

_LOOK = (
    "svg{color:#1f2328;font-family:sans-serif}@media (prefers-color-scheme:dark){svg{color:#e6edf3}"
    '[fill="#2563eb"]{fill:#84b0ff}[stroke="#2563eb"]{stroke:#84b0ff}[fill="#0072b2"]{fill:#56b4e9}[stroke="#0072b2"]{stroke:#56b4e9}}'
)
_HEAD = """# Gallery

One problem of each family: its text, its graphs, its solution, the probe labels at each step, and three damaged solutions with their verdicts.
Written by `python -m igsm_pipeline.toolbox.gallery`.

In the drawings blue is what the answer needs; the thick outline is what is asked for; dashed boxes are abstract parameters.
In the tables of labels, t counts the sentences of the solution that have been read, and each cell says of the parameter:

| cell | known | can_next | nece_next |
|---|---|---|---|
| a number: its value | 1 | 0 | 0 |
| ● | 0 | 1 | 1 |
| ○ | 0 | 1 | 0 |
| · | 0 | 0 | 0 |
"""


def gallery_files() -> dict[str, str]:
    """The files of the gallery: path below docs/ -> content."""
    files: dict[str, str] = {}
    parts = [_HEAD]
    for name, world, family, op in EXHIBITS:
        problem = draw_problem(world, family, op)
        drawings = {f"gallery/{name}_structure.svg": structure_graph(problem), f"gallery/{name}_dependencies.svg": dependency_graph(problem)}
        files |= {path: _by_day_and_night(drawing) for path, drawing in drawings.items()}
        title = f"## {name}: op {op}, arithmetic mod {family.modulus}, world {world}"
        parts += [title, *_describe(problem, list(drawings)), "### Labels", _label_table(problem), "### Damaged solutions", *_damaged(problem)]
    files["gallery/packed_row.svg"] = _by_day_and_night(packed_row())
    return {"gallery.md": "\n\n".join(part.strip("\n") for part in parts) + "\n", **files}


def write_gallery(folder: Path = DOCS) -> None:
    """Write the gallery below a folder."""
    for path, content in gallery_files().items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content, encoding="utf-8")


def draw_problem(world: str, family: FamilySettings, op: int) -> Problem:
    """The first test problem of a family and op."""
    settings = ProblemSetSettings(family=family, law="exact", op=op, num_problems=1, block_size=1, split="test", stream="gallery")
    return generate_block(settings, load_world(world), 0)[0]


def _by_day_and_night(drawing: str) -> str:
    """A drawing for a file of its own: dark lines by day, light ones where the reader's screen is dark."""
    return drawing.replace(">", f"><style>{_LOOK}</style>", 1) + "\n"


def _describe(problem: Problem, drawings: list[str]) -> Iterator[str]:
    sizes = counts(problem)
    yield f"> {render_problem(problem).strip()}{render_question(problem)}"
    yield f"{sizes['parameters']} parameters, {sizes['necessary']} of them necessary, {sizes['edges']} dependencies."
    yield from (f"![{path.removesuffix('.svg').replace('/', ': ')}]({path})" for path in drawings)
    yield "### Solution"
    yield "\n".join(f"{number}. {sentence.render()}." for number, sentence in enumerate(parse_solution(render_solution(problem)), 1))
    yield f"Answer:{render_answer(problem)}"


def _label_table(problem: Problem) -> str:
    """A row per existing parameter: value, nece, the rows that it depends on (dep), and the labels at each position."""
    parameters = list_candidates(problem, "existing")
    number = {parameter: place for place, parameter in enumerate(parameters, 1)}
    steps = range(len(problem.order) + 1)
    rows = [["#", "parameter", "value", "nece", "dep: rests on", *(f"t = {t}" for t in steps)], ["---"] * (5 + len(steps))]
    for parameter in parameters:
        below = ", ".join(str(number[one]) for one in sorted(foundations(problem, parameter)))
        nece = str(label_query(problem, "nece", 0, parameter))
        labels = [_label(problem, t, parameter) for t in steps]
        rows.append([str(number[parameter]), problem.name(parameter), str(problem.values[parameter]), nece, below, *labels])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _label(problem: Problem, position: int, parameter: Parameter) -> str:
    if label_query(problem, "known", position, parameter):
        return str(label_query(problem, "value", position, parameter))
    if label_query(problem, "nece_next", position, parameter):
        return "●"
    return "○" if label_query(problem, "can_next", position, parameter) else "·"


def _damaged(problem: Problem) -> Iterator[str]:
    right = parse_solution(render_solution(problem))
    for title, damage in DAMAGES.items():
        sentences = damage(problem, right)
        verdict = verify(problem, render_sentences(sentences), render_answer(problem))
        shown = right[verdict.sentence or 0] if len(sentences) == len(right) else None
        yield f"**{title}.** {_verdict_text(verdict)}"
        if shown is not None:
            yield f"- was: {shown.render()}.\n- is: {sentences[verdict.sentence or 0].render()}."
        else:
            gone = next(one for one in right if one not in sentences)
            yield f"- left out: {gone.render()}."


def _verdict_text(verdict: Verdict) -> str:
    if verdict.error is None:
        return "Verdict: correct."
    answer = "right" if verdict.final_answer_correct else "wrong"
    assert verdict.sentence is not None
    return f"Verdict: `{verdict.error.value}` in sentence {verdict.sentence + 1}, which defines {verdict.parameter}; the final answer is {answer}."


def _slip(problem: Problem, sentences: Sentences) -> Sentences:
    """The last result of the solution is one too large."""
    *steps, last = sentences[-1].steps
    return (*sentences[:-1], replace(sentences[-1], steps=(*steps, replace(last, result=(last.result + 1) % problem.modulus))))


def _leave_out(problem: Problem, sentences: Sentences) -> Sentences:
    """The first sentence is left out."""
    return sentences[1:]


def _other_reference(problem: Problem, sentences: Sentences) -> Sentences:
    """The last sentence that reads a symbol reads another one instead; its numbers are computed again and are right."""
    values = {one.symbol: one.steps[-1].result for one in sentences}
    for number in reversed(range(len(sentences))):
        own = sentences[number]
        before = {one.symbol for one in sentences[:number]}
        used = [operand for step in own.steps for operand in step.operands if operand in before]
        others = [one.symbol for one in sentences[:number] if one.symbol not in used]
        if used and others:
            changed = replace(own, steps=tuple(_redo(own.steps, {used[-1]: others[0]}, dict(values), problem.modulus)))
            return (*sentences[:number], changed, *sentences[number + 1 :])
    return sentences


def _redo(steps: tuple[Step, ...], new: dict[str | int, str], values: dict[str, int], modulus: int) -> Iterator[Step]:
    """Steps with other operands, computed again."""
    for step in steps:
        operands = tuple(new.get(operand, operand) for operand in step.operands)
        numbers = [values[operand] if isinstance(operand, str) else operand for operand in operands]
        if len(numbers) == 2:
            n, m = numbers
            result = {"+": n + m, "-": n - m, "*": n * m}[step.operator] % modulus
            again = replace(step, operands=operands, numbers=(n, m), result=result)
        else:
            again = replace(step, operands=operands, result=numbers[0] if numbers else step.result)
        values[again.symbol] = again.result
        yield again


DAMAGES: dict[str, Damage] = {
    "The last result one too large": _slip,
    "A sentence left out": _leave_out,
    "Another parameter read, everything else consistent": _other_reference,
}


if __name__ == "__main__":
    write_gallery(*map(Path, sys.argv[1:]))
