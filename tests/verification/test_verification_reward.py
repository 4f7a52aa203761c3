"""Rewards: those of the slow second verifier, between 0 and 1, and ready for TRL."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import igsm_pipeline as igsm
from igsm_pipeline.errors import BadInput, BadProblem
from igsm_pipeline.problems.problem import Problem
from igsm_pipeline.text import render_problem, render_question
from igsm_pipeline.verification import igsm_correct, igsm_dense, reward, reward_function
from igsm_pipeline.world import load_world
from tests.reference.plain_text import answer, problem_text, question, solution
from tests.reference.random_problems import PLAIN, closure, problems, random_problem
from tests.reference.slow_verifier import count_unnecessary, judge
from tests.reference.solution_damage import DAMAGES, redundant

SEED = 20261126


def slow_rewards(problem: Problem, text: str, given_answer: str | None, redundancy: float) -> tuple[float, float]:
    """Both rewards, from the slow verifier and the definition."""
    kind, sentence, _ = judge(problem, text, given_answer, given_answer is not None)
    necessary = len(closure(problem, [problem.query]))
    unnecessary = count_unnecessary(problem, text)
    right = necessary if kind is None else sentence - unnecessary
    return float(kind is None), max(0.0, (right + (kind is None) - redundancy * unnecessary) / (necessary + 1))


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_rewards_of_damaged_solutions_are_those_of_the_slow_verifier(damage):
    rng = random.Random(f"{SEED} {damage.__name__}")
    for _ in range(60):
        problem = random_problem(rng, PLAIN, rng.choice([2, 5, 23]), max_width=rng.choice([2, 4]))
        text, redundancy = damage(rng, problem, solution(problem)), rng.choice([0.0, 0.5, 1.0])
        given_answer = rng.choice([None, answer(problem), f" {rng.randrange(problem.modulus)}"])
        completion = text if given_answer is None else f"{text}<|answer|>{given_answer}"
        correct, dense = slow_rewards(problem, text, given_answer, redundancy)
        options = {"world": PLAIN, "modulus": problem.modulus}
        asked = rng.choice([problem, problem_text(problem) + question(problem), f"<|problem|>{question(problem)}{problem_text(problem)}<|solution|>"])
        if completion.startswith(("<|solution|>", "Define ")) or "<|" in text:
            continue
        assert reward([asked], [completion], **options) == [correct], completion
        assert reward([asked], [completion], kind="dense", redundancy=redundancy, **options) == [pytest.approx(dense)], completion


@settings(max_examples=150, deadline=None)
@given(problems(), st.randoms(use_true_random=False), st.floats(0, 1), st.booleans())
def test_dense_is_between_0_and_1_and_at_least_half_of_correct(problem, rng, redundancy, exact):
    text = solution(problem)
    text = rng.choice([text, redundant(rng, problem, text), rng.choice(DAMAGES)(rng, problem, text), text[: rng.randrange(len(text) + 1)]])
    completion = text + rng.choice(["", answer(problem), f"<|answer|>{answer(problem)}<|endoftext|>", " 999", "<|answer|>"])
    options = {"world": PLAIN, "exact": exact}
    (correct,) = reward([problem], [completion], **options)
    (dense,) = reward([problem], [completion], kind="dense", redundancy=redundancy, **options)
    (forgiving,) = reward([problem], [completion], kind="dense", redundancy=0.0, **options)
    assert correct in (0.0, 1.0)
    assert 0 <= dense <= forgiving <= 1
    assert (forgiving == 1) == (correct == 1)


@settings(max_examples=100, deadline=None)
@given(problems())
def test_each_right_sentence_pays_the_same_and_what_follows_an_error_pays_nothing(problem):
    sentences = solution(problem)[1:-1].split(". ")
    total = len(sentences)
    for number in range(total + 1):
        begun = "".join(f" {one}." for one in sentences[:number])
        for rest in (" Define nonsense", f" Nothing. {'. '.join(sentences[number:])}."):
            assert reward([problem], [begun + rest], kind="dense", world=PLAIN) == [pytest.approx(number / (total + 1))]
    assert reward([problem], [solution(problem)], kind="dense", world=PLAIN) == [pytest.approx(total / (total + 1))]
    assert reward([problem], [solution(problem)], kind="dense", world=PLAIN, needs_answer=False) == [1.0]


def test_a_detour_costs_its_price_and_a_right_solution_with_detours_stays_correct():
    rng, seen = random.Random(SEED), 0
    for _ in range(100):
        problem = random_problem(rng, PLAIN)
        text = redundant(rng, problem, solution(problem))
        unnecessary = count_unnecessary(problem, text)
        completion, total = text + answer(problem), len(problem.necessary)
        assert reward([problem], [completion], world=PLAIN) == [1.0]
        expected = max(0.0, 1 - 0.25 * unnecessary / (total + 1))
        assert reward([problem], [completion], kind="dense", redundancy=0.25, world=PLAIN) == [pytest.approx(expected)]
        seen += unnecessary > 0
    assert seen > 20


def test_rewards_do_not_depend_on_order_or_on_neighbours():
    rng = random.Random(SEED)
    asked = [random_problem(rng, PLAIN) for _ in range(40)]
    written = [rng.choice(DAMAGES)(rng, one, solution(one)) + answer(one) for one in asked]
    together = reward(asked, written, kind="dense", world=PLAIN)
    order = rng.sample(range(40), 40)
    assert reward([asked[one] for one in order], [written[one] for one in order], kind="dense", world=PLAIN) == [together[one] for one in order]
    assert [reward([one], [it], kind="dense", world=PLAIN)[0] for one, it in zip(asked, written, strict=True)] == together
    assert 0 < sum(together) < 40


def test_trl_functions_take_texts_chats_and_columns():
    problem = random_problem(random.Random(3), PLAIN, 5)
    text, good = problem_text(problem) + question(problem), solution(problem) + answer(problem)
    dense = reward_function("dense", world=PLAIN, modulus=5)
    assert dense.__name__ == "igsm_dense"
    assert dense([f"<|endoftext|><|problem|>{text}<|solution|>"] * 2, [good, ""], trainer_state=None, completion_ids=[[1], [2]]) == [1.0, 0.0]
    chat = [{"role": "system", "content": "Solve."}, {"role": "user", "content": text.strip()}]
    said = [{"role": "assistant", "content": good.strip()}]
    assert dense([chat], [said]) == [1.0]
    assert dense([[{"role": "user", "content": "Solve it, please."}]], [said], problem=[text]) == [1.0]
    assert dense(["Solve it, please."], [said], problem=[problem_text(problem)], question=[question(problem)]) == [1.0]
    assert dense(None, [said], problem=[text]) == [1.0]
    assert dense([text], [[]]) == [0.0]


def test_columns_name_world_and_modulus_of_each_row():
    rows = [(world, igsm.generate(1, world=world, op=2, seed=4)[0]) for world in ("igsm", "mini")]
    texts = [render_problem(one) + render_question(one) for _, one in rows]
    written = [igsm.document(one, "pq").solution + igsm.document(one, "pq").answer for _, one in rows]
    columns = {"world": [world for world, _ in rows], "modulus": [one.modulus for _, one in rows]}
    assert igsm_correct(texts, written, **columns) == igsm_dense(texts, written, **columns) == [1.0, 1.0]
    with pytest.raises(BadProblem, match=r"problems\[1\]"):
        igsm_correct(texts, written)


def test_the_parts_of_a_chat_message_are_one_text():
    """A message may hold its text in parts, which scored 0 without a word."""
    problem = random_problem(random.Random(5), PLAIN)
    parts = [{"type": "text", "text": solution(problem)}, {"type": "text", "text": answer(problem)}]
    assert reward([problem], [[{"role": "assistant", "content": parts}]], world=PLAIN) == [1.0]
    assert reward([problem], [[{"role": "assistant", "content": None}]], world=PLAIN) == [0.0]


ODD = [None, 5, b"x", {"content": "x"}, ["x"], [{"content": 5}], [{"content": [{"type": "image"}]}], [{"content": [5]}], [{"content": {"text": "x"}}]]


@pytest.mark.parametrize("completion", ODD, ids=repr)
def test_what_is_no_completion_is_refused_by_its_number(completion):
    problem = random_problem(random.Random(5), PLAIN)
    with pytest.raises(BadInput, match=r"completions\[1\] must be a text, or messages"):
        reward([problem, problem], ["x", completion], world=PLAIN)
    with pytest.raises(BadInput, match=r"prompts\[0\] must be a text, or messages"):
        igsm_correct([completion], ["x"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "best"}, "kind must be correct or dense, got 'best'"),
        ({"redundancy": "0.5"}, "redundancy must be between 0 and 1, got '0.5'"),
        ({"redundancy": True}, "redundancy must be between 0 and 1, got True"),
        ({"redundancy": float("nan")}, "redundancy must be between 0 and 1, got nan"),
        ({"modulus": 1}, "modulus must be a whole number from 2 to 65536, got 1"),
        ({"world": 5}, "world must be a name, a file or a World"),
    ],
)
def test_a_reward_function_is_refused_when_it_is_made(options, message):
    with pytest.raises(BadInput, match=message):
        reward_function(**options)
    with pytest.raises(BadInput, match=message):
        reward([], [], **options)


def test_columns_of_another_length_are_refused_by_name():
    for name in ("problem", "question", "world", "modulus"):
        with pytest.raises(BadInput, match=f"{name} must be as many as the completions, got '1 for 2'; give one for each completion"):
            igsm_correct(["x", "y"], ["x", "y"], **{"problem": ["x", "y"], name: ["x"]})
    with pytest.raises(BadInput, match="prompts must be as many as the completions"):
        igsm_correct(["x"], ["x", "y"])
    with pytest.raises(BadInput, match=r"question\[1\] must be a text, got 'NoneType None'"):
        igsm_correct(["x", "y"], ["x", "y"], problem=["x", "y"], question=["z", None])
    with pytest.raises(BadInput, match=r"problems\[0\] must be a Problem or its text, got 'NoneType None'"):
        reward([None], ["x"], world=PLAIN)


def test_the_world_may_be_a_path(tmp_path):
    (tmp_path / "own.json").write_text(json.dumps(load_world("mini").document()))
    problem = igsm.generate(1, world="mini", op=2)[0]
    text = igsm.document(problem, "pq")
    assert reward([text.prompt], [text.solution + text.answer], world=tmp_path / "own.json") == [1.0]


def test_other_spellings_pay_only_when_asked():
    problem = random_problem(random.Random(5), PLAIN)
    odd = (solution(problem) + " The answer is" + answer(problem) + ".").replace(" * ", " × ").replace("; ", ";\n")
    assert reward([problem], [odd], world=PLAIN) == [0.0]
    assert reward([problem], [odd], world=PLAIN, exact=False) == [1.0]


@pytest.mark.parametrize(
    ("given", "options", "said"),
    [
        ((["x"], []), {}, "completions must be as many as the problems"),
        ((["x"], ["y"]), {"kind": "sparse"}, "kind must be correct or dense"),
        ((["x"], ["y"]), {"redundancy": 1.5}, "redundancy must be between 0 and 1"),
        (([" Nothing."], ["y"]), {}, r"problems\[0\]"),
    ],
)
def test_wrong_arguments_are_named(given, options, said):
    with pytest.raises(BadInput, match=said):
        reward(*given, **options)
