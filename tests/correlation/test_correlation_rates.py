"""Claims about figure 8's rates and the mistake predictor."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from igsm_pipeline.correlation.predictor import FEATURE_SETS, Outlook, draw_folds, predict_out_of_fold, predictor_rows, probe_features
from igsm_pipeline.correlation.rates import CORRELATION_SCHEMA, Answers, rate_row, rate_table
from igsm_pipeline.intervals.share import wilson_interval


def _answers(seed, part="op=max", num_problems=40, first=0):
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    problem = np.repeat(first + np.arange(num_problems) * 3, 10)
    label = (rng.random(len(problem)) < 0.3).astype(np.int64)
    event = (label == 0) & (rng.random(len(problem)) < 0.15) & (problem % 2 == 0)
    prediction = np.where(event, rng.random(len(problem)) < 0.6, np.where(rng.random(len(problem)) < 0.1, 1 - label, label)).astype(np.int64)
    group = rng.integers(-1, 4, len(problem))
    return Answers("b", "can_next", part, num_problems, problem, event, label, prediction, group)


def test_rates_count_events_and_compare_with_false_queries_of_the_same_solutions():
    answers = _answers(1)
    rows = list(zip(answers.problem.tolist(), answers.event.tolist(), answers.label.tolist(), answers.prediction.tolist(), strict=True))
    having = {problem for problem, event, _, _ in rows if event}
    events = [said for _, event, _, said in rows if event]
    others = [said for problem, event, label, said in rows if problem in having and not event and not label]
    rest = [said == label for problem, event, label, said in rows if problem in having and not event]
    row = rate_row(answers)
    assert (row["n"], row["baseline_n"], row["num_problems"]) == (len(events), len(others), len(having))
    assert row["rate"] == pytest.approx(np.mean(events))
    assert row["baseline_rate"] == pytest.approx(np.mean(others))
    assert row["accuracy"] == pytest.approx(np.mean(rest))
    assert row["excess"] == pytest.approx(np.mean(events) - np.mean(others))
    assert row["low"] < row["rate"] < row["high"]
    assert 0 < row["excess_low"] < row["excess"] < row["excess_high"]


def test_the_matched_comparison_weighs_every_group_of_the_others_by_its_events():
    answers = _answers(4, num_problems=400)
    inside = np.isin(answers.problem, answers.problem[answers.event])
    rate = baseline = count = 0.0
    for group in range(4):
        events = inside & answers.event & (answers.group == group)
        others = inside & ~answers.event & (answers.label == 0) & (answers.group == group)
        if events.any() and others.any():
            count += events.sum()
            rate += answers.prediction[events].sum()
            baseline += events.sum() * answers.prediction[others].mean()
    row = rate_row(answers)
    assert row["matched_n"] == count
    assert row["matched_rate"] == pytest.approx(rate / count)
    assert row["matched_baseline"] == pytest.approx(baseline / count)
    assert row["matched_excess"] == pytest.approx((rate - baseline) / count)
    assert row["matched_excess_low"] < row["matched_excess"] < row["matched_excess_high"]


def test_a_probe_that_only_knows_the_groups_has_a_raw_excess_and_no_matched_one():
    rng = np.random.default_rng(9)
    problem, group = np.repeat(np.arange(500), 12), rng.integers(-1, 4, 6000)
    label = np.zeros(6000, np.int64)
    event = rng.random(6000) < np.where(group == 3, 0.3, 0.02) * (group >= 0)
    prediction = (rng.random(6000) < np.where(group == 3, 0.7, 0.05)).astype(np.int64)
    row = rate_row(Answers("b", "can_next", "op=max", 500, problem, event, label, prediction, group))
    assert row["excess_low"] > 0.2
    assert abs(row["matched_excess"]) < 0.06
    assert row["matched_excess_low"] < 0 < row["matched_excess_high"]


def test_slices_of_one_group_number_are_matched_within_their_slice():
    size = 200
    one = np.zeros(size, np.int64)
    twin = np.arange(size) // 2
    often, seldom = np.arange(size) % 4 > 0, np.arange(size) % 4 == 0
    slices = [
        Answers("b", "can_next", part, size, twin, event, one, np.full(size, said), one)
        for part, said, event in (("op=max", 0, often), ("reask", 1, seldom))
    ]
    both = rate_row(Answers.joined(slices))
    assert (both["matched_n"], both["matched_rate"], both["matched_baseline"], both["matched_excess"]) == (size, 0.25, 0.25, 0.0)
    event = np.arange(size) % 2 == 0
    unmatched = rate_row(Answers("b", "can_next", "op=max", size, twin, event, one, one, np.where(event, 1, 2)))
    assert (unmatched["matched_n"], unmatched["matched_rate"], unmatched["matched_excess"]) == (0, None, None)


def test_slices_are_reported_apart_and_together():
    table = rate_table([_answers(2, "op=max"), _answers(3, "op=max+1", first=120)])
    assert table.schema == CORRELATION_SCHEMA
    first, second, both = table.to_pylist()
    assert [row["slice"] for row in (first, second, both)] == ["op=max", "op=max+1", "all"]
    for name in ("n", "baseline_n", "num_problems", "solutions"):
        assert both[name] == first[name] + second[name]
    assert both["rate"] == pytest.approx((first["rate"] * first["n"] + second["rate"] * second["n"]) / both["n"])


def test_no_events_give_a_row_of_nulls_and_no_answers_no_row():
    empty = np.zeros(0, np.int64)
    (row, _) = rate_table([Answers("a", "nece", "reask", 0, empty, empty.astype(bool), empty, empty, empty)]).to_pylist()
    assert (row["n"], row["rate"], row["low"], row["excess"], row["accuracy"]) == (0, None, None, None, None)
    assert len(rate_table([])) == 0


def test_a_problem_that_two_slices_ask_about_is_one_problem():
    one, twin = _answers(2, "op=max+1"), _answers(3, "reask")
    first, second, both = rate_table([one, twin]).to_pylist()
    assert both["n"] == first["n"] + second["n"]
    assert both["num_problems"] == len(np.union1d(one.problem[one.event], twin.problem[twin.event]))
    same = rate_row(Answers.joined([one, one]))
    assert (same["num_problems"], same["low"], same["high"]) == (first["num_problems"], first["low"], first["high"])


def test_only_problems_behind_a_rate_make_it_sure():
    """Six solutions have an event, of five it is in a group with others; these are in three solutions, and no other is called true."""
    problem, event = np.array([0, 1, 2, 3, 4, 5, 0, 1, 5]), np.arange(9) < 6
    group = np.array([1, 1, 1, 1, 1, 2, 1, 1, 1])
    row = rate_row(Answers("b", "can_next", "op=max", 6, problem, event, np.zeros(9, np.int64), event.astype(np.int64), group))
    assert (row["n"], row["matched_n"], row["baseline_n"]) == (6, 5, 3)
    for name, value, behind in (("low", 1, 6), ("matched_rate_low", 1, 5), ("baseline_high", 0, 3), ("matched_baseline_high", 0, 3)):
        assert row[name] == pytest.approx(wilson_interval(value * behind, behind)[1 - value])
    assert row["matched_excess_low"] == pytest.approx(2 * wilson_interval(3, 3)[0] - 1)


def _outlook(seed, num=400, signal=2.0):
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    probes, op = rng.normal(size=(num, 5)), rng.integers(1, 8, num).astype(float)
    wrong = signal * probes[:, 0] + 0.3 * (op - 4) + rng.logistic(size=num) > 1
    redundant = ~wrong & (rng.random(num) < 0.2)
    length, candidates = 50 + 10 * op + rng.integers(0, 9, num), rng.integers(3, 9, num).astype(float)
    return Outlook(probes, op, length, candidates, draw_folds(num, 5, seed), np.arange(num), wrong, redundant)


def test_the_predictor_agrees_with_scikit_learns_cross_validation():
    outlook = _outlook(5)
    features = outlook.features("surface+probes")
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1 / (320 * 1e-2), tol=1e-8))
    expected = cross_val_predict(model, features, outlook.wrong, cv=PredefinedSplit(outlook.fold), method="predict_proba")[:, 1]
    np.testing.assert_allclose(predict_out_of_fold(features, outlook.wrong, outlook.fold, l2=1e-2), expected, atol=2e-3)
    (row,) = [r for r in predictor_rows("all", outlook, l2=1e-2, min_events=5) if (r["target"], r["features"]) == ("wrong", "surface+probes")]
    folds = [outlook.fold == fold for fold in range(5)]
    within = [roc_auc_score(outlook.wrong[fold], expected[fold]) for fold in folds]
    assert row["auroc"] == pytest.approx(
        np.average(within, weights=[outlook.wrong[fold].sum() * (~outlook.wrong[fold]).sum() for fold in folds]), abs=1e-3
    )


def test_probes_that_know_beat_the_baselines_and_noise_knows_nothing():
    rows = {(r["target"], r["features"]): r for r in predictor_rows("all", _outlook(6), l2=1e-2, min_events=5)}
    assert set(rows) == {(target, name) for target in ("wrong", "redundant") for name in FEATURE_SETS}
    assert rows["wrong", "probes"]["auroc_low"] > rows["wrong", "op+length"]["auroc_high"]
    noise = predictor_rows("all", _outlook(7, num=2000, signal=0.0), l2=1e-2, min_events=5)
    (blind,) = [row for row in noise if (row["target"], row["features"]) == ("wrong", "probes")]
    assert blind["auroc"] == pytest.approx(0.5, abs=0.06)


def test_features_that_know_nothing_are_at_one_half_where_few_solutions_are_wrong():
    """Over all folds the score of a fold with many mistakes is low, since its fit has seen few: noise would be well below one half."""
    within, over = [], []
    for seed in range(40):
        outlook = _outlook(seed, num=600, signal=0.0)
        outlook.wrong[:] = np.random.default_rng(seed).permutation(600) < 10
        (row,) = [row for row in predictor_rows("reask", outlook, l2=1e-2, min_events=5) if (row["target"], row["features"]) == ("wrong", "probes")]
        score = predict_out_of_fold(outlook.features("probes"), outlook.wrong, outlook.fold, l2=1e-2)
        within.append(row["auroc"])
        over.append(roc_auc_score(outlook.wrong, score))
    error, below = np.std(within, ddof=1) / np.sqrt(40), np.subtract(within, over)
    print(f"within folds {np.mean(within):.3f}, over all {np.mean(over):.3f}, standard error {error:.3f}")
    assert abs(np.mean(within) - 0.5) < 3 * error < 0.1
    assert below.mean() > 3 * below.std(ddof=1) / np.sqrt(40)


def test_solutions_of_one_problem_are_resampled_together():
    outlook = _outlook(13)
    twice = Outlook.joined([outlook, outlook])
    alone, both = ({row["features"]: row for row in predictor_rows("all", one, l2=1e-2, min_events=5)[:6]} for one in (outlook, twice))
    assert both["op"]["n"] == 2 * alone["op"]["n"]
    assert (both["op"]["auroc_low"], both["op"]["auroc_high"]) == pytest.approx((alone["op"]["auroc_low"], alone["op"]["auroc_high"]), abs=5e-3)


def test_what_the_probe_adds_to_the_surface_is_a_paired_gain():
    rows = {(row["target"], row["features"]): row for row in predictor_rows("all", _outlook(10, num=1500), l2=1e-2, min_events=5)}
    both, surface = rows["wrong", "surface+probes"], rows["wrong", "surface"]
    assert both["gain"] == pytest.approx(both["auroc"] - surface["auroc"])
    assert both["gain_low"] > 0.05
    assert surface["gain"] is None
    noise = {(row["target"], row["features"]): row for row in predictor_rows("all", _outlook(11, num=1500, signal=0.0), l2=1e-2, min_events=5)}
    assert noise["wrong", "surface+probes"]["gain_low"] < 0.01


def test_constant_features_have_no_auroc():
    outlook = _outlook(12)
    outlook.op[:] = 4.0
    rows = {(row["target"], row["features"]): row for row in predictor_rows("op=max", outlook, l2=1e-2, min_events=5)}
    assert rows["wrong", "op"]["auroc"] is None
    assert rows["wrong", "op+length"]["auroc"] is not None


def test_out_of_fold_means_that_a_row_never_sees_its_own_target():
    rng = np.random.default_rng(0)
    features, target, fold = rng.normal(size=(60, 30)), rng.random(60) < 0.5, np.arange(60) % 5
    before = predict_out_of_fold(features, target, fold, l2=1e-2)
    target[fold == 2] = ~target[fold == 2]
    after = predict_out_of_fold(features, target, fold, l2=1e-2)
    np.testing.assert_array_equal(before[fold == 2], after[fold == 2])
    assert (before[fold != 2] != after[fold != 2]).any()


def test_too_few_mistakes_give_their_number_and_no_auroc():
    outlook = _outlook(8, num=30)
    outlook.wrong[:] = False
    outlook.wrong[:3] = True
    (row, *_) = predictor_rows("op=max", outlook, l2=1e-2, min_events=5)
    assert (row["n"], row["positives"], row["auroc"], row["auroc_low"]) == (30, 3, None, None)


def test_probe_features_summarise_each_problem_alone():
    features = probe_features(np.array([0, 0, 2]), np.array([0.5, 1.0, 0.9]), 3)
    np.testing.assert_allclose(features, [[1, 0.5, 1, 1, 1.5], [0, 0, 0, 0, 0], [0.2, 0.2, 0, 1, 0.9]], atol=1e-9)
