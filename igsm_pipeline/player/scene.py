"""One problem as a JSON document: its texts, its graph, what is true after each sentence, and what the probes believe.

    id, slice, row, kind, op, modulus, answer     which problem it is; ``kind`` is solved, redundant, wrong or drawn
    question, question_first, statements          its text; a statement names the parameter that it defines
    parameters                                    name, value, necessary, graph, parents, rests_on, layer, place
    query                                         the parameter asked for
    truth                                         of further tasks that are asked before the solution, per task; absent where there are none
    solutions.KEY                                 own and reference: sentences, verdict, truth per task and position
    beliefs.ARM                                   nece and dep before the solution; KEY: known, value, can_next, nece_next per position

Parameters are numbers into ``parameters``. Position t counts the sentences that were read; 0 is the end of the prompt. A belief is the probability of
yes; of ``value`` it is [the likeliest number, its probability, the probability that there is none yet].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from igsm_pipeline.player.reader import MindReader, Numbers, Written
from igsm_pipeline.problems.problem import Parameter, Problem
from igsm_pipeline.queries.labels import foundations, label_query
from igsm_pipeline.queries.tasks import ALL_TASKS, TASKS, TaskName
from igsm_pipeline.text import render_answer, render_question
from igsm_pipeline.text.rendering import render_expression
from igsm_pipeline.text.solution import HEAD, LAST, STEP
from igsm_pipeline.text.wording import STATEMENT
from igsm_pipeline.verification import ERRORS_TOLD, Verdict, verify

Scene = dict[str, Any]
OWN, REFERENCE = "own", "reference"
STEP_TASKS: tuple[TaskName, ...] = tuple(task for task in ALL_TASKS if TASKS[task].asked_at == "steps")
PROMPT_TASKS: tuple[TaskName, ...] = tuple(task for task in ALL_TASKS if TASKS[task].asked_at != "steps" and task not in ("nece", "dep"))
"""Tasks asked before the solution whose truth ``parameters`` does not tell: those that someone added."""


def make_scene(reader: MindReader, problem: Problem, own: Written, **which: Any) -> Scene:
    """The document of a problem that a model has solved.

    Args:
        reader: the model and its probes.
        problem: with a reference order.
        own: what the model wrote.
        which: ``id``, ``slice`` and ``row``, where they are known.

    Returns:
        Values that JSON has; see the module.
    """
    solutions = {OWN: own, REFERENCE: reader.reference(problem)}
    parameters = reader.parameters(problem)
    judged = verify(problem, own.solution, own.answer, finished=own.finished)
    kind = "wrong" if not judged.correct else "redundant" if judged.unnecessary_parameters else "solved"
    read = reader.read(problem, solutions)
    return {
        "id": "drawn",
        "slice": None,
        "row": None,
        **which,
        "kind": kind,
        "op": problem.op,
        "modulus": problem.modulus,
        "answer": render_answer(problem).strip(),
        "question": render_question(problem).strip(),
        "question_first": reader.files.family.format == "qp",
        "statements": [
            {
                "text": f"{STATEMENT}{problem.name(one)} equals {render_expression(problem, expression)}.",
                "parameter": parameters.index(one) if one in parameters else None,
            }
            for one, expression in problem.statements.items()
        ],
        "query": parameters.index(problem.query),
        "parameters": describe_parameters(problem, parameters),
        **_truth_before(problem, parameters),
        "solutions": {key: describe_solution(problem, parameters, written) for key, written in solutions.items()},
        "beliefs": {arm: _beliefs(said) for arm, said in read.items()},
    }


def _truth_before(problem: Problem, parameters: Sequence[Parameter]) -> dict[str, Any]:
    """The true answers of ``PROMPT_TASKS``: per parameter, of a pair one row per parameter A; null where there is no number."""
    told: dict[str, Any] = {}
    for task in PROMPT_TASKS:
        missing = problem.modulus if TASKS[task].valued else None
        if TASKS[task].needs_b:
            told[task] = [[label_query(problem, task, 0, one, other) for other in parameters] for one in parameters]
        else:
            told[task] = [_none_if(missing, label_query(problem, task, 0, one)) for one in parameters]
    return {"truth": told} if told else {}


def describe_parameters(problem: Problem, parameters: Sequence[Parameter]) -> list[dict[str, Any]]:
    """The parameters with their truth and their place in a layered drawing of the graph."""
    number = {one: index for index, one in enumerate(parameters)}
    places = place_in_layers(problem)
    return [
        {
            "name": problem.name(one),
            "value": problem.values[one],
            "necessary": one in problem.necessary,
            "graph": one in problem.graph,
            "parents": sorted({number[parent] for parent in problem.parents(one) if parent in number}),
            "rests_on": sorted(number[other] for other in foundations(problem, one) if other in number),
            "layer": places[one][0] if one in places else None,
            "place": places[one][1] if one in places else None,
        }
        for one in parameters
    ]


def place_in_layers(problem: Problem) -> dict[Parameter, tuple[int, int]]:
    """Layer and place of every parameter of the dependency graph.

    The layer is the longest way down to a parameter that rests on nothing; within a layer parameters are ordered by the places of what they rest
    on, so that few lines cross.
    """
    depth: dict[Parameter, int] = {}
    waiting = sorted(problem.graph)
    while waiting:
        one = waiting[-1]
        missing = [parent for parent in problem.parents(one) if parent not in depth]
        waiting += missing
        if not missing:
            depth[waiting.pop()] = 1 + max((depth[parent] for parent in problem.parents(one)), default=-1)
    layers: dict[int, list[Parameter]] = {}
    for one in sorted(problem.graph):
        layers.setdefault(depth[one], []).append(one)
    places: dict[Parameter, tuple[int, int]] = {}
    for layer, members in sorted(layers.items()):
        wish = {one: [places[parent][1] / len(layers[places[parent][0]]) for parent in problem.parents(one) if parent in places] for one in members}
        members.sort(key=lambda one: (sum(wish[one]) / len(wish[one]) if wish[one] else 0.5, one))
        places |= {one: (layer, place) for place, one in enumerate(members)}
    return places


def describe_solution(problem: Problem, parameters: Sequence[Parameter], written: Written) -> dict[str, Any]:
    """Sentences, verdict, and the true answer to every question after each sentence."""
    number = {problem.name(one): index for index, one in enumerate(parameters)}
    verdict = verify(problem, written.solution, written.answer, finished=written.finished)
    sentences, defined = [], list[int]()
    known: list[tuple[int, ...]] = [()]
    for text in written.sentences:
        head = HEAD.match(f" {text}")
        index = number.get(head["name"]) if head else None
        again = index in defined
        if index is not None and not again:
            defined.append(index)
        known.append(tuple(defined))
        unneeded = index is not None and parameters[index] not in problem.necessary
        sentences.append({"text": text, "parameter": index, "value": stated_value(text), "unneeded": unneeded, "again": again})
    solved = replace(problem, order=tuple(parameters[index] for index in defined))
    truth = {
        task: [
            [_none_if(solved.modulus if TASKS[task].valued else None, label_query(solved, task, len(at), one)) for one in parameters] for at in known
        ]
        for task in STEP_TASKS
    }
    return {
        "sentences": sentences,
        "rest": written.rest,
        "answer": None if written.answer is None else written.answer.strip(),
        "finished": written.finished,
        "verdict": describe_verdict(verdict),
        "truth": truth,
    }


def describe_verdict(verdict: Verdict) -> dict[str, Any]:
    """A verdict in plain words; ``sentence`` counts from 0 and is null for what is found at the end."""
    return {
        "correct": verdict.correct,
        "error": None if verdict.error is None else verdict.error.value,
        "words": None if verdict.error is None else ERRORS_TOLD[verdict.error].sentence,
        "sentence": verdict.sentence,
        "parameter": verdict.parameter,
        "answer_right": verdict.final_answer_correct,
        "unneeded": verdict.unnecessary_parameters,
    }


def stated_value(sentence: str) -> int | None:
    """The number that a sentence ends with; None where it does not read like one."""
    head = HEAD.match(f" {sentence}")
    if head is None:
        return None
    position = head.end()
    while (step := STEP.match(f" {sentence}", position)) is not None:
        position = step.end()
    last = LAST.match(f" {sentence}", position)
    found = None if last is None else last["k"] or last["copied"] or last["number"]
    return None if found is None else int(found)


def _none_if(missing: int | None, value: int) -> int | None:
    return None if value == missing else value


def _beliefs(said: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in said.items():
        if name in (OWN, REFERENCE):
            found[name] = {task: _values(read) if TASKS[task].valued else _rounded(read) for task, read in value.items()}
        elif TASKS[name].valued:
            found[name] = _values(value[None])[0]
        else:
            found[name] = _rounded(value)
    return found


def _rounded(values: Numbers) -> list[Any]:
    return np.round(values.astype(np.float64), 3).tolist()  # type: ignore[no-any-return]


def _values(probabilities: Numbers) -> list[Any]:
    """(positions, parameters, classes) as [likeliest number, its probability, probability of none]."""
    numbers = probabilities[..., :-1].astype(np.float64)
    best = numbers.argmax(-1)
    strength, none = np.round(numbers.max(-1), 3), np.round(probabilities[..., -1].astype(np.float64), 3)
    return [[[*one] for one in zip(*rows, strict=True)] for rows in zip(best.tolist(), strength.tolist(), none.tolist(), strict=True)]
