"""Questions to other people's models: of the test split, with examples of the training split and of other templates."""

from __future__ import annotations

import pytest

from igsm_pipeline.errors import BadSettings
from igsm_pipeline.llm.prompts import plan_exam, questions
from igsm_pipeline.problems.law.split import TEST_BINS, template_of
from igsm_pipeline.text import parse_problem
from igsm_pipeline.verification.reward import reward
from tests.reference import naive_blocks


def test_templates_differ_where_the_slow_reference_says_so():
    import igsm_pipeline as igsm  # noqa: PLC0415 (only here)

    batches = igsm.generate(150, world="mini", op=2, seed=1), igsm.generate(60, op=5, seed=2)
    ours, slow = [template_of(one) for batch in batches for one in batch.records], [naive_blocks.template(one) for batch in batches for one in batch]
    assert [ours.index(one) for one in ours] == [slow.index(one) for one in slow]
    assert 10 < len(set(ours)) < 200


@pytest.mark.parametrize("modulus", [5, 23])
@pytest.mark.parametrize("style", ["answer", "steps"])
def test_examples_are_right_and_of_the_training_split_with_another_template(modulus, style):
    exam = plan_exam(ops="3-5", modulus=modulus, style=style, n=12, shots=5, seed=2)
    asked = list(questions(exam))
    assert [one.op for one in asked] == [3] * 4 + [4] * 4 + [5] * 4
    for one in asked:
        own = naive_blocks.template(one.problem)
        assert naive_blocks.hash_bin(own.encode()) in TEST_BINS
        assert str(one.problem.values[one.problem.query]) == one.answer
        assert len(one.examples) == len(set(one.examples)) == 5
        for example in one.examples:
            shown = parse_problem(f" {example.question}", exam.world, modulus)
            assert example.question != one.text
            if style == "answer":
                assert example.reply == str(shown.values[shown.query])
            else:
                assert reward([shown], [example.reply], world=exam.world) == [1.0]
    assert {one.examples for one in asked} != {asked[0].examples}


def test_no_example_has_the_template_of_its_question_even_where_the_split_is_by_problem(tmp_path):
    family = tmp_path / "family.yaml"
    family.write_text("{op_max: 3, ip_max: 4, modulus: 5, format: qp, num_symbols: 10, op_law: uniform, split_by: problem}")
    exam = plan_exam(family=str(family), world="mini", ops="1-3", style="steps", n=60, shots=3)
    shown = {}
    for one in questions(exam):
        for example in one.examples:
            shown.setdefault(example, []).append(naive_blocks.template(one.problem))
    templates_of_examples = {}
    from igsm_pipeline.llm import prompts  # noqa: PLC0415 (its pool is what is looked at)

    pool = prompts._draw(exam, prompts.problem_set(exam.family, "train", exam.seed, prompts.POOL, "inspect shots"), prompts.POOL)
    for problem, _ in pool:
        templates_of_examples[prompts._example(exam, problem)] = naive_blocks.template(problem)
    assert shown
    assert not [one for one, asked in shown.items() if templates_of_examples[one] in asked]


def test_the_same_parameters_ask_the_same_and_another_seed_others():
    first, same, other = ([one.text for one in questions(plan_exam(ops="2-6", n=10, seed=seed))] for seed in (1, 1, 2))
    assert first == same
    assert not set(first) & set(other)


def test_the_slice_of_a_published_model_is_the_one_that_it_was_evaluated_on():
    from pathlib import Path  # noqa: PLC0415

    from igsm_pipeline.problems import generate  # noqa: PLC0415
    from igsm_pipeline.text import document  # noqa: PLC0415
    from igsm_pipeline.toolbox.published import read_published  # noqa: PLC0415

    folder = Path(__file__).parents[2] / "data/published/small"
    asked = list(questions(plan_exam(published=str(folder), ops="op=max+1", n=7, shots=0, style="steps", instructions=False)))
    member = read_published(folder)
    batch = next(iter(generate(member.slice_settings("op=max+1"), member.world)))
    assert [f" {one.text}" for one in asked] == [document(batch[row], member.family.format).prompt for row in range(7)]
    assert {one.system for one in asked} == {""}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"style": "essay"}, "style must be answer or steps"),
        ({"ops": "5-2"}, "ops must be numbers"),
        ({"ops": "op<=max"}, "name its folder"),
        ({"ops": "op<=maxi"}, "ops must be that of an evaluation slice"),
        ({"n": 0}, "n and shots"),
        ({"shots": 49}, "n and shots"),
    ],
)
def test_wrong_parameters_are_named(given, said):
    with pytest.raises(BadSettings, match=said):
        plan_exam(**given)
