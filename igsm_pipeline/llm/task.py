"""The Inspect task: ``inspect eval igsm_pipeline/igsm --model PROVIDER/MODEL -T ops=2-15 -T n=700``."""

from __future__ import annotations

from inspect_ai import Epochs, Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessage, ChatMessageAssistant, ChatMessageSystem, ChatMessageUser, GenerateConfig
from inspect_ai.solver import generate

from igsm_pipeline.llm.prompts import Question, name_world, plan_exam, questions
from igsm_pipeline.llm.scoring import scorers_of

VERSION = 2
"""Raise it when the same parameters ask something else."""


@task
def igsm(
    family: str = "med",
    world: str = "igsm",
    ops: str | int = "2-15",
    modulus: int = 5,
    format: str = "pq",
    shots: int = 5,
    style: str = "answer",
    instructions: bool = True,
    seed: int = 0,
    n: int = 100,
    published: str | None = None,
) -> Task:
    """How well a model solves iGSM problems.

    Source: arXiv:2407.20311, figures 2 and 15: 5 examples, arithmetic mod 5, the final answer judged. Ours: the wording of the instructions, and that
    examples have other templates than the question.

    Args:
        family, world, ops, modulus, format, shots, style, instructions, seed, n, published: see ``plan_exam``.

    Raises:
        BadSettings, BadInput, BadWorld, NotFound: see ``plan_exam``.
    """
    if isinstance(ops, list):  # Inspect reads -T ops=2,5 as a list
        ops = ",".join(map(str, ops))
    exam = plan_exam(
        family=family,
        world=world,
        ops=ops,
        modulus=modulus,
        format=format,
        shots=shots,
        style=style,
        instructions=instructions,
        seed=seed,
        n=n,
        published=published,
    )
    named = name_world(world, published)
    samples = [_sample(one, named, exam.family.modulus) for one in questions(exam)]
    return Task(
        dataset=MemoryDataset(samples, name="igsm"),
        solver=generate(),
        scorer=scorers_of(exam.style),
        config=GenerateConfig(temperature=0.0),
        epochs=Epochs(1, "mode"),  # the mean, Inspect's own choice, would turn the names of errors into 0
        version=VERSION,
        metadata={"style": exam.style, "shots": shots, "modulus": exam.family.modulus, "format": exam.family.format, "ops": str(ops), "seed": seed},
    )


def _sample(question: Question, world: str, modulus: int) -> Sample:
    messages: list[ChatMessage] = [ChatMessageSystem(content=question.system)] if question.system else []
    for example in question.examples:
        messages += [ChatMessageUser(content=example.question), ChatMessageAssistant(content=example.reply)]
    messages.append(ChatMessageUser(content=question.text))
    said = {"op": question.op, "problem": question.text, "world": world, "modulus": modulus}
    return Sample(id=question.number, input=messages, target=question.answer, metadata=said)
