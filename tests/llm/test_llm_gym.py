"""The reasoning-gym data set: its own answers are worth 1, spoilt ones less, and it is drawn from the split that is named."""

from __future__ import annotations

import pytest

reasoning_gym = pytest.importorskip("reasoning_gym", reason="comes with the extra llm")
pytestmark = pytest.mark.slow


def made(**options):
    from igsm_pipeline.llm import gym  # noqa: PLC0415 (registers the data set)

    return reasoning_gym.create_dataset(gym.NAME, **options)


@pytest.mark.parametrize("kind", ["correct", "dense"])
def test_right_answers_are_worth_one_and_spoilt_ones_less(kind):
    data = made(op=6, size=20, seed=3, kind=kind, modulus=5)
    assert len({item["question"] for item in data}) == 20
    for item in data:
        assert data.score_answer(item["answer"], item) == 1.0
        wrong = item["answer"][:-1] + str((int(item["answer"][-1]) + 1) % 5)
        assert data.score_answer(wrong, item) < 1
        assert data.score_answer(item["metadata"]["final_answer"], item) == 0.0
        assert data.score_answer(None, item) == 0.0
        first = item["answer"].split(". ")[0] + "."
        assert (data.score_answer(first, item) > 0) == (kind == "dense")


def test_the_same_seed_gives_the_same_items_and_another_seed_others():
    one, same, other = (made(op=4, size=8, seed=seed)[5] for seed in (1, 1, 2))
    assert one == same
    assert one["question"] != other["question"]
    assert one["metadata"]["op"] == 4
    assert one["question"].endswith(one["metadata"]["problem"])


def test_an_item_beyond_the_size_is_refused():
    with pytest.raises(IndexError, match="0 to 3"):
        made(op=2, size=4)[4]
