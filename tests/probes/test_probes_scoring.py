"""Claims about probe scores, each against scikit-learn, scipy or a slow, obvious count."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as oracle

from igsm_pipeline.errors import BadInput
from igsm_pipeline.intervals import bootstrap
from igsm_pipeline.intervals.interval import UNDEFINED
from igsm_pipeline.intervals.share import share
from igsm_pipeline.probes.scoring import METRICS_SCHEMA, Majority, score_distances, score_predictions

CLASSES = st.integers(2, 5)


ENDS = ("", "_low", "_high")


def _draw(seed, num_problems=60, per_problem=8, num_classes=2, noise=0.25):
    """Labels, predictions, scores and problems, with errors that cluster by problem."""
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    problem = np.repeat(np.arange(num_problems), rng.integers(1, per_problem + 1, num_problems))
    label = rng.integers(num_classes, size=len(problem))
    bad = (rng.random(num_problems) < 0.4)[problem]
    wrong = rng.random(len(problem)) < np.where(bad, 2 * noise, noise / 4)
    prediction = np.where(wrong, rng.integers(num_classes, size=len(problem)), label)
    score = np.clip(np.round(0.5 + (prediction - 0.5) * rng.random(len(problem)), 2), 0, 1)
    return label, prediction, score, problem


def _table(seed=0, *, probe="v_probe", layer=None, task="nece", part="op<=max", num_classes=2, **kwargs):
    label, prediction, score, problem = _draw(seed, num_classes=num_classes, **kwargs)
    rng, n = np.random.default_rng(seed + 1000), len(label)
    return pa.table(
        {
            "problem": pa.array(problem, pa.int32()),
            "task": [task] * n,
            "position": pa.array([0] * n, pa.int32()),
            "parameter": pa.array(np.arange(n), pa.int32()),
            "parameter_b": pa.nulls(n, pa.int32()),
            "label": pa.array(label, pa.int32()),
            "prediction": pa.array(prediction, pa.int32()),
            "score": score,
            "probe": [probe] * n,
            "layer": pa.array([layer] * n, pa.int32()),
            "slice": [part] * n,
            "op": pa.array(problem % 3 + 1, pa.int32()),
            "necessary": pa.array(label == 1) if task == "nece" else pa.array(rng.random(n) < 0.5),
            "distance": pa.array([int(d) if d else None for d in rng.integers(0, 11, n)], pa.int32()),
        }
    )


def _row(table, **wanted):
    rows = [row for row in table.to_pylist() if all(row[key] == value for key, value in wanted.items())]
    assert len(rows) == 1, (wanted, len(rows))
    return rows[0]


@given(seed=st.integers(0, 10**6), num_classes=CLASSES)
def test_accuracy_balanced_accuracy_and_mcc_agree_with_scikit_learn(seed, num_classes):
    label, prediction, _, problem = _draw(seed, num_problems=12, num_classes=num_classes)
    sums = bootstrap.class_statistics(label, prediction, problem, num_problems=12, num_classes=num_classes).sum(0)[None]
    assert bootstrap.accuracy_of(sums)[0] == pytest.approx(oracle.accuracy_score(label, prediction))
    present = np.isin(prediction, label)  # scikit-learn warns of predicted classes that truth lacks
    if present.all():
        assert bootstrap.balanced_accuracy_of(sums)[0] == pytest.approx(oracle.balanced_accuracy_score(label, prediction))
    assert bootstrap.mcc_of(sums)[0] == pytest.approx(oracle.matthews_corrcoef(label, prediction))


@given(seed=st.integers(0, 10**6))
def test_auroc_agrees_with_scikit_learn_ties_included(seed):
    label, _, score, _ = _draw(seed, num_problems=20)
    if len(set(label.tolist())) == 2:
        assert bootstrap.auroc(label, score) == pytest.approx(oracle.roc_auc_score(label, score))


def test_scores_without_data_or_without_a_class_are_undefined_rather_than_zero():
    empty = np.zeros(0, dtype=np.int64)
    assert math.isnan(bootstrap.auroc(np.ones(3, dtype=np.int64), np.ones(3)))
    assert bootstrap.interval(bootstrap.class_statistics(empty, empty, empty, num_problems=0, num_classes=2), bootstrap.accuracy_of) == UNDEFINED
    assert math.isnan(bootstrap.calibration_error(empty, np.zeros(0)))


def _clustered(label, prediction, score, problem):
    groups = [np.flatnonzero(problem == p) for p in np.unique(problem)]

    def resample(statistic):
        def of(chosen):
            rows = np.concatenate([groups[int(i)] for i in chosen])
            return statistic(label[rows], prediction[rows], score[rows])

        return stats.bootstrap(
            (np.arange(len(groups)),), of, vectorized=False, n_resamples=1500, method="percentile", rng=np.random.default_rng(7)
        ).confidence_interval

    return resample


@pytest.mark.parametrize("name", ["accuracy", "balanced_accuracy", "mcc", "auroc"])
def test_intervals_agree_with_scipys_bootstrap_of_whole_problems(name):
    label, prediction, score, problem = _draw(3, num_problems=80)
    reference = {
        "accuracy": lambda y, p, s: np.mean(y == p),
        "balanced_accuracy": lambda y, p, s: oracle.balanced_accuracy_score(y, p),
        "mcc": lambda y, p, s: oracle.matthews_corrcoef(y, p),
        "auroc": lambda y, p, s: oracle.roc_auc_score(y, s),
    }[name]
    expected = _clustered(label, prediction, score, problem)(reference)
    row = _row(score_predictions(_table(3, num_problems=80), modulus=5, candidates="existing"), subset="all", op=None)
    width = expected.high - expected.low
    assert row[name] == pytest.approx(reference(label, prediction, score))
    assert row[f"{name}_low"] == pytest.approx(expected.low, abs=0.12 * width)
    assert row[f"{name}_high"] == pytest.approx(expected.high, abs=0.12 * width)


def test_intervals_are_wider_than_those_that_take_queries_for_independent():
    label, prediction, _, problem = _draw(5, num_problems=100, per_problem=12)
    by_problem = bootstrap.interval(bootstrap.class_statistics(label, prediction, problem, num_problems=100, num_classes=2), bootstrap.accuracy_of)
    naive = share(int((label == prediction).sum()), len(label))
    assert by_problem.high - by_problem.low > 1.15 * (naive.high - naive.low)


def test_a_perfect_score_keeps_an_interval_that_shrinks_with_problems_not_queries():
    def perfect(num_problems, per_problem):
        problem = np.repeat(np.arange(num_problems), per_problem)
        label = np.arange(len(problem)) % 2
        return bootstrap.interval(bootstrap.class_statistics(label, label, problem, num_problems=num_problems, num_classes=2), bootstrap.accuracy_of)

    assert perfect(10, 2) == perfect(10, 50)
    assert perfect(10, 2).low < perfect(40, 2).low < 1 == perfect(40, 2).high


@given(successes=st.integers(0, 50), failures=st.integers(0, 50))
def test_wilson_agrees_with_scipy(successes, failures):
    trials = successes + failures
    if trials:
        expected = stats.binomtest(successes, trials).proportion_ci(0.95, "wilson")
        assert share(successes, trials)[1:3] == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_calibration_error_is_the_weighted_gap_per_bin():
    rng = np.random.default_rng(1)
    probability, event = rng.random(500), rng.random(500) < 0.5
    expected = 0.0
    for k in range(15):
        inside = (probability >= k / 15) & (probability < (k + 1) / 15)
        if inside.any():
            expected += inside.mean() * abs(event[inside].mean() - probability[inside].mean())
    assert bootstrap.calibration_error(event, probability) == pytest.approx(expected)


def test_scores_do_not_depend_on_the_order_of_rows_and_repeat_exactly():
    table = _table(11)
    shuffled = table.take(np.random.default_rng(0).permutation(len(table)))
    first, second = (score_predictions(one, modulus=5, candidates="all") for one in (table, shuffled))
    assert first == second
    assert first.schema == METRICS_SCHEMA


def test_subsets_and_ops_split_the_queries():
    table = _table(12)
    scores = score_predictions(table, modulus=5, candidates="existing")
    whole, necessary, unnecessary = (_row(scores, subset=subset, op=None) for subset in ("all", "necessary", "unnecessary"))
    assert whole["n"] == len(table) == necessary["n"] + unnecessary["n"]
    assert (whole["positives"], whole["negatives"]) == (necessary["n"], unnecessary["n"])
    for name, part in (("accuracy_positive", necessary), ("accuracy_negative", unnecessary)):  # for nece: what is needed, and what is not
        assert [whole[name + end] for end in ENDS] == pytest.approx([part["accuracy" + end] for end in ENDS])
    assert sum(row["n"] for row in scores.to_pylist() if row["op"] is not None) == len(table)


def test_where_a_value_is_known_is_where_the_answer_is_yes():
    table = _table(12)
    label = np.random.default_rng(2).integers(6, size=len(table))
    prediction = np.where(np.random.default_rng(3).random(len(table)) < 0.7, label, 5)
    for name, values in (("task", ["value"] * len(table)), ("label", label), ("prediction", prediction)):
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, pa.array(values, table.schema.field(place).type))
    scores = score_predictions(table, modulus=5, candidates="existing")
    whole, known = (_row(scores, subset=subset, op=None) for subset in ("all", "known"))
    assert (whole["positives"], whole["negatives"]) == (int((label < 5).sum()), int((label == 5).sum()))
    assert [whole["accuracy_positive" + end] for end in ENDS] == pytest.approx([known["accuracy" + end] for end in ENDS])
    assert 0.6 < known["accuracy_low"] < known["accuracy"] < known["accuracy_high"] < 0.8
    assert whole["accuracy_negative"] == 1
    assert known["accuracy_negative"] is None, "there is no such query"


def test_an_accuracy_at_the_end_of_its_scale_is_as_sure_as_the_problems_behind_it():
    table = _table(12)
    label = (table["problem"].to_numpy() < 3).astype(np.int64)
    for name in ("label", "prediction"):
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, pa.array(label, table.schema.field(place).type))
    whole = _row(score_predictions(table, modulus=5, candidates="existing"), subset="all", op=None)
    for name, problems in (("accuracy_positive", 3), ("accuracy_negative", 57), ("accuracy", 60)):
        assert [whole[name + end] for end in ENDS] == pytest.approx(share(problems, problems)[:3]), name


def test_a_probe_that_equals_its_control_gains_nothing_and_a_better_one_gains_surely():
    good, control = _table(13, noise=0.02), _table(13, probe="random")
    twin = good.set_column(good.schema.get_field_index("probe"), "probe", pa.array(["random"] * len(good)))
    same = _row(score_predictions(pa.concat_tables([good, twin]), modulus=5, candidates="existing"), probe="v_probe", subset="all", op=None)
    assert (same["balanced_accuracy_gain"], same["balanced_accuracy_gain_low"], same["balanced_accuracy_gain_high"]) == (0, 0, 0)
    coin = pa.array(np.random.default_rng(0).integers(2, size=len(control)), pa.int32())
    control = good.set_column(6, "prediction", coin).set_column(8, "probe", pa.array(["random"] * len(good)))
    scores = score_predictions(pa.concat_tables([good, control]), modulus=5, candidates="existing")
    better, worse = (_row(scores, probe=probe, subset="all", op=None) for probe in ("v_probe", "random"))
    assert better["balanced_accuracy_gain"] == pytest.approx(better["balanced_accuracy"] - worse["balanced_accuracy"])
    assert better["balanced_accuracy_gain_low"] > 0
    assert worse["balanced_accuracy_gain"] is None


def test_a_control_that_was_asked_other_queries_is_refused():
    table = _table(14)
    control = table.set_column(8, "probe", pa.array(["random"] * len(table))).slice(0, len(table) - 1)
    with pytest.raises(BadInput, match="same queries"):
        score_predictions(pa.concat_tables([table, control]), modulus=5, candidates="existing")


def test_a_missing_column_is_named():
    with pytest.raises(BadInput, match="no distance"):
        score_predictions(_table(1).drop_columns("distance"), modulus=5, candidates="existing")


def test_value_counts_known_queries_as_positive_and_scores_them_apart():
    table = _table(15, task="value", num_classes=6)
    scores = score_predictions(table, modulus=5, candidates="existing")
    whole, known = (_row(scores, subset=subset, op=None) for subset in ("all", "known"))
    label, prediction = table["label"].to_numpy(), table["prediction"].to_numpy()
    assert (whole["positives"], whole["auroc"]) == (int((label < 5).sum()), None)
    assert known["balanced_accuracy"] == pytest.approx(
        np.mean([np.mean(prediction[label == k] == k) for k in range(5)])  # recall per known class
    )


def test_the_majority_guess_uses_the_training_class_even_where_a_slice_has_another():
    table = _table(16, task="dep")
    guess = Majority.of(np.array([2, 1]))
    scores = score_predictions(table, modulus=5, candidates="existing", majority={"dep": guess})
    row = _row(scores, probe="majority", subset="all", op=None)
    assert (guess.prediction, row["layer"]) == (0, None)
    assert row["accuracy"] == pytest.approx(float((table["label"].to_numpy() == 0).mean()))
    assert (row["balanced_accuracy"], row["mcc"], row["auroc"]) == (0.5, 0.0, 0.5)


def test_layers_and_slices_stay_apart():
    tables = [_table(seed, probe="linear", layer=layer, part=part) for seed, (layer, part) in enumerate([(0, "op=4"), (1, "op=4"), (1, "reask")])]
    scores = score_predictions(pa.concat_tables(tables), modulus=5, candidates="existing")
    for table, (layer, part) in zip(tables, [(0, "op=4"), (1, "op=4"), (1, "reask")], strict=True):
        accuracy = float((table["label"].to_numpy() == table["prediction"].to_numpy()).mean())
        assert _row(scores, layer=layer, slice=part, subset="all", op=None)["accuracy"] == pytest.approx(accuracy)


def test_distances_count_necessary_parameters_only():
    table = _table(17, probe="linear", layer=2, num_problems=200)
    scores = score_distances(pa.concat_tables([table, _table(17, task="dep")]))
    rows = table.to_pylist()
    assert [row["distance"] for row in scores.to_pylist()] == list(range(1, 9))
    for row in scores.to_pylist():
        hits = [r["label"] == r["prediction"] for r in rows if r["necessary"] and r["distance"] == row["distance"]]
        assert (row["n"], row["accuracy"]) == (len(hits), pytest.approx(np.mean(hits)))
        assert row["accuracy_low"] <= row["accuracy"] <= row["accuracy_high"]


def test_no_predictions_give_no_rows():
    empty = _table(1).slice(0, 0)
    assert len(score_predictions(empty, modulus=5, candidates="existing")) == 0
    assert len(score_distances(empty)) == 0
