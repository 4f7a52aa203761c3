"""Tokens at half of a gain: where a straight line says, at the first crossing, and nowhere without a gain."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from igsm_pipeline.emergence.half_gain import half_gain_tokens, scores_over
from igsm_pipeline.intervals.bootstrap import mean_of

TOKENS = np.array([0.0, 100.0, 1000.0, 10_000.0])


@pytest.mark.parametrize(
    ("values", "tokens"),
    [
        ((0.0, 0.5, 0.75, 1.0), 100.0),
        ((0.0, 1.0, 1.0, 1.0), 50.0),
        ((0.0, 0.0, 1.0, 1.0), 100 * 10**0.5),
        ((0.2, 0.2, 0.3, 1.0), 1000 * 10 ** (0.3 / 0.7)),
        ((0.0, 0.8, 0.1, 1.0), 62.5),
        ((0.5, 0.9, 0.9, 0.5), None),
        ((0.5, 0.9, 0.9, 0.4), None),
    ],
)
def test_it_is_where_the_curve_first_crosses_the_middle(values, tokens):
    (found,) = half_gain_tokens(np.array([values]), TOKENS)
    assert np.isnan(found) if tokens is None else found == pytest.approx(tokens)


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_it_lies_within_the_training_and_is_one_for_one_of_its_curve(values):
    curves = np.array([values, [0.0, 0.1, 0.2, 1.0]])
    found = half_gain_tokens(curves, TOKENS)
    assert np.isnan(found[0]) == (values[-1] <= values[0])
    assert np.isnan(found[0]) or 0 <= found[0] <= TOKENS[-1]
    assert found[1] == half_gain_tokens(curves[1:], TOKENS)[0]


def test_scores_of_snapshots_are_those_of_their_own_columns():
    sums = np.array([[1.0, 2, 3, 4, 9, 10], [0, 2, 4, 4, 5, 10]])
    assert scores_over(mean_of, sums, 3).tolist() == [[0.5, 0.75, 0.9], [0.0, 1.0, 0.5]]
