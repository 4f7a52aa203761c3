"""Tables against numbers worked out apart from them."""

import math

import pytest

from igsm_pipeline.intervals.share import share
from igsm_pipeline.reports.paper_rows import accuracy_by_op, accuracy_rows, mean, whole_scores


def verdict(part, op, correct, beams=1, extra=0):
    return {
        "slice": part, "beams": beams, "op": op, "correct": correct, "final_answer_correct": correct, "finished": True, "error": None,
        "unnecessary_operations": extra, "unnecessary_parameters": 0,
    }  # fmt: skip


def test_a_share_has_wilsons_interval():
    found = share(8, 10)
    assert (found.value, found.low, found.high) == pytest.approx((0.8, 0.4902, 0.9433), abs=1e-4)  # a textbook's example


def test_a_share_of_nothing_is_unknown():
    assert math.isnan(share(0, 0).value)


def test_a_mean_of_counts_is_never_below_zero():
    assert mean([0, 0, 0, 1]).low == 0.0


def test_slices_and_beams_are_counted_apart():
    rows = accuracy_rows([verdict("a", 1, True), verdict("a", 1, False), verdict("a", 1, True, beams=4), verdict("b", 1, True)])
    assert [(row.name, row.n, row.correct.value) for row in rows] == [("a", 2, 0.5), ("a, beam 4", 1, 1.0), ("b", 1, 1.0)]


def test_unnecessary_operations_are_counted_in_correct_solutions_only():
    (row,) = accuracy_rows([verdict("a", 1, True, extra=2), verdict("a", 1, False, extra=9)])
    assert row.extra_operations.value == 2


def test_the_balanced_set_alone_counts_where_it_has_the_op():
    rows = accuracy_by_op([verdict("by_op", 1, True), verdict("op<=max", 1, False), verdict("op=9", 9, False), verdict("reask", 9, True)])
    assert [(row.op, row.n, row.correct.value) for row in rows] == [(1, 1, 1.0), (9, 1, 0.0)]


def test_the_layer_chosen_elsewhere_stands_for_a_linear_probe_even_where_another_is_better():
    rows = [
        {
            "task": "nece",
            "slice": "a",
            "probe": "linear",
            "layer": layer,
            "subset": "all",
            "op": None,
            "balanced_accuracy": value,
            "chosen": layer == 2,
        }
        for layer, value in ((0, 0.5), (1, 0.9), (2, 0.7))
    ]
    assert whole_scores(rows)["nece", "a", "linear"]["layer"] == 2
