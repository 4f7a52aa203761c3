"""Text: problems and solutions as the English that a model reads, and back. Each parser is the inverse of a renderer.

- ``rendering``: the text of statements, question, solution and answer.
- ``wording``: a problem text cut into statements and names, before the names mean anything.
- ``parsing``: the problem behind a text.
- ``solution``: the grammar of solutions, with its parser and its renderer; ``retries``: sentences that take back what they name.
"""

from igsm_pipeline.problems.modulus import LARGEST_MODULUS
from igsm_pipeline.text.parsing import parse_problem, read_solution
from igsm_pipeline.text.rendering import (
    Document,
    Earlier,
    Format,
    Operation,
    document,
    operations,
    render_answer,
    render_problem,
    render_question,
    render_solution,
    solution_sentences,
)
from igsm_pipeline.text.solution import BadSolution, Sentence, Step, parse_solution, render_sentences

__all__ = [
    "LARGEST_MODULUS",
    "BadSolution",
    "Document",
    "Earlier",
    "Format",
    "Operation",
    "Sentence",
    "Step",
    "document",
    "operations",
    "parse_problem",
    "parse_solution",
    "read_solution",
    "render_answer",
    "render_problem",
    "render_question",
    "render_sentences",
    "render_solution",
    "solution_sentences",
]
