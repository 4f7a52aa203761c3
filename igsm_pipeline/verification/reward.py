"""Rewards for training on iGSM: 1 for a fully correct completion, or a dense one that also pays for a right beginning.

Nothing here is random and nothing is remembered that a later reward depends on. ``rewarding`` makes the functions that TRL calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any, Literal

from igsm_pipeline.errors import BadInput, BadProblem, must_be
from igsm_pipeline.problems.modulus import whole_modulus
from igsm_pipeline.problems.problem import Problem
from igsm_pipeline.verification.lookup import Tables, tables_of
from igsm_pipeline.verification.rows.columns import Fields
from igsm_pipeline.verification.rows.judging import MODULUS, read_tables, respell
from igsm_pipeline.verification.verdict import Verdict
from igsm_pipeline.verification.verifier import verify_by
from igsm_pipeline.world import World, world_of

Kind = Literal["correct", "dense"]
Completion = str | Sequence[Mapping[str, Any]]
"""A text, or the messages of a chat; the last message counts, whose content is a text or a list of parts with a ``text`` each."""
REDUNDANCY = 0.5
PROBLEM, SOLUTION, ANSWER, END = "<|problem|>", "<|solution|>", "<|answer|>", "<|endoftext|>"


def reward(
    problems: Iterable[Problem | str],
    completions: Iterable[Completion],
    *,
    kind: Kind = "correct",
    world: World | str | Path = "igsm",
    modulus: int = MODULUS,
    redundancy: float = REDUNDANCY,
    needs_answer: bool = True,
    exact: bool = True,
) -> list[float]:
    """Rewards of completions, one each, between 0 and 1.

    ``correct`` is 1 for a completion without any error, else 0. ``dense`` is

        max(0, (right + end - redundancy * unnecessary) / (necessary + 1))

    - ``necessary``: how many parameters the answer rests on, itself included; the shortest solution has a sentence for each.
    - ``right``: how many of them the completion defines, in sentences that are right in every step, before the first error.
    - ``end``: 1 if the completion is fully correct to its end, the answer included, else 0.
    - ``unnecessary``: how many other parameters it defines rightly before the first error.

    So a fully correct completion without detours gets 1, one with detours less, and a sentence after the first error changes nothing. Ours: the paper
    trains without rewards.

    Example:
        >>> from igsm_pipeline.problems import ProblemSetSettings, family_by_name, generate_block
        >>> from igsm_pipeline.text import document
        >>> from igsm_pipeline.world import load_world
        >>> problem = generate_block(ProblemSetSettings(family=family_by_name("med"), num_problems=1), load_world("igsm"), 0)[0]
        >>> text = document(problem, "pq")
        >>> reward([problem, text.prompt], [text.solution + "<|answer|>" + text.answer, text.solution + text.answer])
        [1.0, 1.0]

    Args:
        problems: the problem of each completion: a record, or its text in format pq or qp, with or without the markers of a prompt.
        completions: text or chat messages: solution, then "<|answer|>" and the answer, or the answer straight after the last dot.
        kind: which reward.
        world: names of the problems that are given as text, or the name or file of a world.
        modulus: M of the problems that are given as text.
        redundancy: what an unnecessary parameter costs, in right sentences, from 0 to 1.
        needs_answer: whether a completion without an answer counts as cut; with False the last sentence's number is its answer.
        exact: judge byte for byte (a space in front may lack). With False a completion that is not right is first spelt as the generator spells it.

    Raises:
        BadInput: there are more of one than of the other, one is of another kind, or ``kind``, ``redundancy`` or ``modulus`` is none.
        BadProblem: the text of a problem cannot be read; the message says which.
    """
    redundancy, modulus, names = checked_options(kind, redundancy, modulus, world)
    asked, written = list(problems), list(completions)
    if len(asked) != len(written):
        raise BadInput("completions", "must be as many as the problems", f"{len(written)} for {len(asked)}", "repeat a problem for each of its own")
    rewards, known = [], dict[str, Tables]()
    for number, (problem, completion) in enumerate(zip(asked, written, strict=True)):
        must_be(f"problems[{number}]", problem, (Problem, str), "a Problem or its text", "give one problem for each completion")
        tables = known.get(problem) if isinstance(problem, str) else None
        if tables is None:
            try:
                tables = problem_tables(problem, names, modulus)
            except BadProblem as error:
                raise BadProblem(f"problems[{number}]: {error.field}", error.rule, error.got, error.way_out) from None
            if isinstance(problem, str):
                known[problem] = tables
        verdict = judge_completion(tables, completion_text(completion, f"completions[{number}]"), names, needs_answer=needs_answer, exact=exact)
        rewards.append(dense_reward(tables, verdict, redundancy) if kind == "dense" else float(verdict.correct))
    return rewards


def checked_options(kind: object, redundancy: Any, modulus: Any, world: World | str | Path) -> tuple[float, int, World]:
    """Redundancy, modulus and world of ``reward``, whose errors these are."""
    if kind not in ("correct", "dense"):
        raise BadInput("kind", "must be correct or dense", kind, "choose one of them")
    if not isinstance(redundancy, Real) or isinstance(redundancy, bool) or not 0 <= float(redundancy) <= 1:
        raise BadInput("redundancy", "must be between 0 and 1", redundancy, "give the share of a right sentence that a detour costs")
    return float(redundancy), whole_modulus(modulus), world_of(world)


def dense_reward(tables: Tables, verdict: Verdict, redundancy: float = REDUNDANCY) -> float:
    """The dense reward of a completion with this verdict; see ``reward``."""
    total, unnecessary = tables.num_necessary, verdict.unnecessary_parameters
    right = total if verdict.sentence is None else verdict.sentence - unnecessary
    return max(0.0, (right + verdict.correct - redundancy * unnecessary) / (total + 1))


def problem_tables(problem: Problem | str, world: World, modulus: int) -> Tables:
    """What verification needs of a problem.

    Raises:
        BadProblem: its text cannot be read.
    """
    return tables_of(problem) if isinstance(problem, Problem) else read_tables(prompt_text(problem), world, modulus, True)


def judge_completion(tables: Tables, text: str, world: World, *, needs_answer: bool = True, exact: bool = True) -> Verdict:
    """The verdict on solution and answer in one text; the arguments are those of ``reward``."""
    solution, answer = split_completion(text)
    verdict = verify_by(tables, solution, answer, finished=answer is not None or not needs_answer)
    if exact or verdict.correct:
        return verdict
    _, solution, outer, inner = respell(Fields("", "", solution, answer, needs_answer, None, {}), world, set())
    answer = outer if inner is None else inner
    return verify_by(tables, solution, answer, finished=answer is not None or not needs_answer)


def split_completion(text: str) -> tuple[str, str | None]:
    """Solution and answer of a completion: parted by the answer marker, or by the last dot before a bare number; None without an answer."""
    text = text.partition(END)[0].removeprefix(SOLUTION)
    solution, marked, answer = text.partition(ANSWER)
    if not marked:
        end = solution.rfind(".") + 1
        rest = solution[end:].strip()
        if end and rest.isascii() and rest.isdecimal():
            solution, answer, marked = solution[:end], rest, ANSWER
    solution = f" {solution}" if solution.startswith("Define ") else solution
    return solution, answer if marked else None


def prompt_text(prompt: str) -> str:
    """The text of a problem out of a prompt: without markers, with a space in front."""
    text = prompt.replace(END, "").removeprefix(PROBLEM).removesuffix(SOLUTION).strip()
    return f" {text}"


def completion_text(completion: Completion, field: str) -> str:
    """The text of a completion: itself, or what the last message of a chat says; of a list of parts, all their texts.

    Raises:
        BadInput: it is neither; ``field`` names it.
    """
    if isinstance(completion, str):
        return completion
    if isinstance(completion, list | tuple) and not completion:
        return ""
    last = completion[-1] if isinstance(completion, list | tuple) else None
    content = (last.get("content") or "") if isinstance(last, Mapping) else None
    parts = [part.get("text") if isinstance(part, Mapping) else None for part in content] if isinstance(content, list | tuple) else [content]
    if not all(isinstance(part, str) for part in parts):
        raise BadInput(field, "must be a text, or messages whose last one has a text or parts with a text", completion, "give what the model wrote")
    return "".join(map(str, parts))
