"""Problem -> text and text -> Problem; solutions as sentences and steps. Each parser is a renderer's inverse."""

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
