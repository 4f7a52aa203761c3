"""What the two tasks of lm-evaluation-harness call: questions as plain text, and what a reply scores.

The harness loads this file from beside its YAML files. It needs ``lm-eval``, which brings ``datasets``.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from igsm_pipeline.llm.prompts import WORLD, Exam, Question, name_world, plan_exam, questions
from igsm_pipeline.llm.replies import final_answer, judge_reply
from igsm_pipeline.text import document
from igsm_pipeline.tokens.fragments import SOLUTION, SPECIALS


def draw(**parameters: Any) -> dict[str, Any]:
    """The questions of ``--metadata``'s parameters, as the split ``test``.

    Args:
        parameters: those of ``plan_exam``; others, such as the model's own arguments, which the harness passes too, are left out. With ``published``,
            problems are written as that model was taught them, without instructions and examples.

    Raises:
        BadSettings, BadInput, BadWorld, NotFound: see ``plan_exam``.
    """
    from datasets import Dataset  # noqa: PLC0415  (comes with the harness)

    asked = {name: value for name, value in parameters.items() if name in inspect.signature(plan_exam).parameters}
    published = asked.get("published")
    if published is not None:
        asked |= {"shots": 0, "instructions": False}
    exam = plan_exam(**asked)
    named = name_world(asked.get("world", WORLD), published)
    return {"test": Dataset.from_list([_row(exam, one, named, taught=published is not None) for one in questions(exam)])}


def judge(doc: dict[str, Any], results: Sequence[str]) -> dict[str, float]:
    """What a reply scores: ``right_answer`` and, where steps are asked for, ``fully_correct`` and ``unnecessary_parameters``."""
    (reply,) = results
    scores = {"right_answer": float(final_answer(reply, doc["modulus"]) == doc["answer"])}
    if doc["style"] == "steps":
        verdict = judge_reply(reply, doc["problem"], doc["world"], doc["modulus"])
        scores |= {"fully_correct": float(verdict.correct), "unnecessary_parameters": float(verdict.unnecessary_parameters)}
    return scores


def _row(exam: Exam, question: Question, world: str, *, taught: bool) -> dict[str, Any]:
    return {
        "question": _as_taught(exam, question) if taught else _as_text(question),
        "answer": question.answer,
        "op": question.op,
        "problem": question.text,
        "world": world,
        "modulus": exam.family.modulus,
        "style": exam.style,
    }


def _as_taught(exam: Exam, question: Question) -> str:
    """The problem as published models were taught it; their tokenizers put the opening markers in front themselves."""
    return f"{document(question.problem, exam.family.format).prompt}{SPECIALS[SOLUTION]}"


def _as_text(question: Question) -> str:
    """Instructions, examples and the problem, as a model without a chat format reads them."""
    parts = [question.system] if question.system else []
    parts += [f"Problem: {example.question}\nReply: {example.reply}" for example in question.examples]
    return "\n\n".join([*parts, f"Problem: {question.text}\nReply:"])
