"""When it comes, over trainings: geometric means and ratios with Student's interval, trainings without a gain left out, on a grid's page."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reference.invented_members import invent, invented_verdicts
from reference.own_experiment import declare
from scipy.stats import ttest_1samp, ttest_rel

from igsm_pipeline.emergence.stage import HALF_GAINS
from igsm_pipeline.experiments.experiment import load_experiments
from igsm_pipeline.planning.flow import units_of
from igsm_pipeline.probes.stage import DISTANCES, PREDICTIONS
from igsm_pipeline.reports.page import Page
from igsm_pipeline.reports.results import task_name
from igsm_pipeline.store import Store, Unit
from igsm_pipeline.toolbox.found import read_found
from igsm_pipeline.toolbox.grid import write_grid_report
from igsm_pipeline.toolbox.when import half_gains, write_when

TOKENS = {
    ("solved", 1): [1.0e6, 1.1e6, 0.9e6, 1.2e6],
    ("solved", 2): [1.6e6, 1.9e6, 1.5e6, 1.8e6],
    ("nece", None): [3.2e6, 3.0e6, 2.9e6, 3.3e6],
    ("known", None): [0.1e6, None, 0.4e6, 0.2e6],
}
"""Of each training, by measure and operations; None: its gain may be none."""
NECE, KNOWN = task_name("nece"), task_name("known")


def rows_of(training: int) -> list[dict[str, object]]:
    made = []
    for (measure, op), tokens in TOKENS.items():
        at = tokens[training]
        ends = {"tokens": at, "tokens_low": at and at * 0.9, "tokens_high": at and at * 1.1}
        gain = 0.5 + 0.1 * training if at else 0.01
        made.append({"measure": measure, "op": op, "num_problems": 10, "gain": gain, "gain_low": gain - 0.05, "gain_high": gain + 0.05, **ends})
    return made


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("IGSM_HOME", str(tmp_path))
    declare(
        tmp_path,
        'training: {snapshots: 4}\nprobes: {tasks: [nece, known], slices: ["op=max"]}\nevaluation: {slices: ["op=max"]}\n'
        "interchange: {pairs: 0}\ngrid:\n  training.seed: {s0: 0, s1: 1, s2: 2, s3: 3}\n  probes.seed: {p0: 0, p1: 1}\n",
        "when",
    )
    store = Store.at_home()
    for member in load_experiments()["when"].members:

        def write(unit: Unit, folder: Path, seed: int = member.settings.training.seed) -> None:
            if unit.stage == "emergence":
                pq.write_table(pa.Table.from_pylist(rows_of(seed), schema=HALF_GAINS.schema()), folder / HALF_GAINS.files)
            if unit.stage == "verdicts":
                pq.write_table(invented_verdicts([True] * 8 + [False] * 2, [2] * 10), folder / "verdicts.parquet")
            if unit.stage == "probe_scores":
                pq.write_table(DISTANCES.schema().empty_table(), folder / "distances.parquet")
                pq.write_table(PREDICTIONS.schema().empty_table(), folder / "predictions.parquet")

        invent(store, member, write)
    return store


def told(store: Store):
    return half_gains(read_found(load_experiments()["when"], store), store)


def test_tokens_are_geometric_means_over_trainings_with_students_interval(store: Store) -> None:
    found = {one.what: one for one in told(store)[0]}
    assert list(found) == ["solved, 1 operation", "solved, 2 operations", NECE, KNOWN]
    solved = found["solved, 2 operations"]
    logs = np.log(TOKENS["solved", 2])
    wanted = ttest_1samp(logs, 0).confidence_interval(0.95)
    assert solved.tokens[:3] == pytest.approx(tuple(np.exp([logs.mean(), wanted.low, wanted.high])))
    assert solved.tokens.n == 4, "a training that is probed twice is one training"
    assert solved.octaves == pytest.approx(np.std(np.log2(TOKENS["solved", 2]), ddof=1))
    gains = ttest_1samp([0.5, 0.6, 0.7, 0.8], 0).confidence_interval(0.95)
    assert solved.gain[:3] == pytest.approx((0.65, gains.low, gains.high))


def test_a_ratio_is_of_one_training_and_needs_both(store: Store) -> None:
    ratios = {(one.what, one.than): one.ratio for one in told(store)[1]}
    assert len(ratios) == 6
    one, two = np.log(TOKENS["solved", 1]), np.log(TOKENS["solved", 2])
    wanted = ttest_rel(one, two).confidence_interval(0.95)
    assert ratios["solved, 1 operation", "solved, 2 operations"][:3] == pytest.approx(tuple(np.exp([(one - two).mean(), wanted.low, wanted.high])))
    partial = ratios["solved, 1 operation", KNOWN]
    assert partial.n == 3
    assert partial.value == pytest.approx((10 * 0.9 / 0.4 * 6) ** (1 / 3))


def test_a_training_that_may_have_gained_nothing_is_left_out_of_tokens_and_counted_in_the_gain(store: Store) -> None:
    known = next(one for one in told(store)[0] if one.what == KNOWN)
    assert (known.tokens.n, known.gain.n) == (3, 4)
    assert known.gain.value == pytest.approx((0.5 + 0.01 + 0.7 + 0.8) / 4)


def test_the_page_of_a_grid_says_what_comes_before_and_after_the_hardest_problems(store: Store, tmp_path: Path) -> None:
    text = write_grid_report(load_experiments()["when"], store, tmp_path / "reports").read_text()
    assert "When does it come, over trainings?" in text
    wanted = f"half of other gains comes before it that of {KNOWN} and after it that of {NECE}."
    assert wanted in text
    assert "of the gain of solved, 2 operations half is reached at 1.69 (" in text
    assert "3 of 4" in text
    assert "Which one solves most?" in text


def test_of_two_trainings_there_is_no_interval_and_what_comes_first_does_so_in_both(store: Store, tmp_path: Path) -> None:
    found = [one for one in read_found(load_experiments()["when"], store) if one.member.labels["training.seed"] in ("s0", "s2")]
    halves, ratios = half_gains(found, store)
    one, two = TOKENS["solved", 2][0], TOKENS["solved", 2][2]
    solved = next(half for half in halves if half.what == "solved, 2 operations")
    assert solved.tokens[:1] == pytest.approx([(one * two) ** 0.5])
    assert np.isnan([*solved.tokens[1:3], *solved.gain[1:3]]).all()
    page = Page("title", "member", "2026")
    write_when(page, halves, ratios)
    text = page.render()
    assert f"half of other gains comes before it that of {KNOWN} and after it that of {NECE} in each of 2 trainings." in text
    assert not [one for one in (">nan", "(nan to", "%2cnan") if one in text.lower()]
    beyond = next(ratio for ratio in ratios if (ratio.what, ratio.than) == ("solved, 1 operation", "solved, 2 operations"))
    assert (beyond.sure, beyond.inverse.sure) == (-1, 1)


def test_snapshots_alone_make_a_page(store: Store, tmp_path: Path) -> None:
    """As after `igsm run NAME --stage emergence`, which computes no verdicts."""
    for member in load_experiments()["when"].members:
        for unit in units_of(member):
            if unit.stage == "verdicts":
                shutil.rmtree(store.path(unit), ignore_errors=True)
    text = write_grid_report(load_experiments()["when"], store, tmp_path / "reports").read_text()
    assert "When does it come, over trainings?" in text
    assert "Which one solves most?" not in text
    assert text.count("when half of each gain is reached") == 1


def test_one_training_alone_says_nothing_over_trainings(store: Store) -> None:
    found = read_found(load_experiments()["when"], store)[:2]
    assert half_gains(found, store) == ([], [])
    page = Page("t", "u", "v")
    write_when(page, [], [])
    assert "over trainings" not in page.render()
