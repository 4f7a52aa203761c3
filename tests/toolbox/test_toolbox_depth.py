"""Figure 9 over lengths: sizes by operations and by distance, means over seeds as lines, runs pale beside them; the sizes cost what they say."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reference.invented_members import invent, invented_verdicts
from reference.own_experiment import declare

from igsm_pipeline.costs import network_behind
from igsm_pipeline.experiments import find_members
from igsm_pipeline.experiments.experiment import Member, load_experiments
from igsm_pipeline.intervals.share import share
from igsm_pipeline.planning.flow import units_of
from igsm_pipeline.probes.stage import DISTANCES, PREDICTIONS
from igsm_pipeline.reports.page import Page
from igsm_pipeline.store import Store, Unit
from igsm_pipeline.toolbox.depth import at_lengths, write_at_lengths
from igsm_pipeline.toolbox.found import read_found
from igsm_pipeline.toolbox.grid import write_grid_report

SOLVED = {("flat", "s0"): (8, 2), ("flat", "s1"): (9, 1), ("deep", "s0"): (9, 6), ("deep", "s1"): (10, 7)}
"""size, seed -> of ten problems each of one and of two operations."""
KNOWN = {"flat": (0.9, 0.2), "deep": (0.95, 0.8)}
"""size -> share of needed quantities known at distance 1 and 2."""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("IGSM_HOME", str(tmp_path))
    declare(
        tmp_path,
        'probes: {tasks: [nece], slices: ["op=max"]}\nevaluation: {slices: [by_op], beams: [1, 4]}\ninterchange: {pairs: 0}\n'
        "grid:\n  size: {flat: {model.layers: 1}, deep: {model.layers: 2}}\n  seed: {s0: {training.seed: 0}, s1: {training.seed: 1}}\n",
        "depths",
    )
    store = Store.at_home()
    for member in load_experiments()["depths"].members:
        finish(store, member)
    return store


def finish(store: Store, member: Member) -> None:
    """Invented verdicts and distances of one member; beams solve everything and must not count."""
    size, seed = member.labels["size"], member.labels["seed"]

    def write(unit: Unit, folder: Path) -> None:
        if unit.stage == "verdicts":
            greedy = unit.labels["beams"] == 1
            right = [row < number or not greedy for number in SOLVED[size, seed] for row in range(10)]
            pq.write_table(invented_verdicts(right, [1] * 10 + [2] * 10), folder / "verdicts.parquet")
        if unit.stage == "probe_scores":
            told = [
                {"task": "nece", "probe": probe, "layer": None, "slice": "op=max", "distance": distance, "n": 50, "num_problems": 10}
                | {f"accuracy{end}": value if probe == "v_probe" else 0.5 for end in ("", "_low", "_high")}
                for probe in ("v_probe", "random")
                for distance, value in enumerate(KNOWN[size], start=1)
            ]
            pq.write_table(pa.Table.from_pylist(told, schema=DISTANCES.schema()), folder / "distances.parquet")
            pq.write_table(PREDICTIONS.schema().empty_table(), folder / "predictions.parquet")

    invent(store, member, write)


def test_every_run_has_a_number_per_length_of_greedy_solutions_and_of_its_v_probe(store: Store) -> None:
    found = at_lengths(read_found(load_experiments()["depths"], store), store)
    by_op = {(one.size, one.run, one.length): one.value for one in found if one.kind == "op"}
    assert by_op == {
        (size, f"depths.{size}.{seed}", op): share(number, 10)
        for (size, seed), numbers in SOLVED.items()
        for op, number in enumerate(numbers, start=1)
    }
    by_distance = {(one.size, one.run, one.length): one.value.value for one in found if one.kind == "distance"}
    assert by_distance == {
        (size, f"depths.{size}.{seed}", distance): value
        for size, values in KNOWN.items()
        for seed in ("s0", "s1")
        for distance, value in enumerate(values, start=1)
    }
    assert {one.slice for one in found} == {"", "op=max"}


def test_the_page_draws_both_with_means_over_seeds(store: Store, tmp_path: Path) -> None:
    experiment = load_experiments()["depths"]
    text = write_grid_report(experiment, store, tmp_path / "reports").read_text()
    assert "Which one goes far?" in text
    page = Page("a", "b", "c")
    write_at_lengths(page, at_lengths(read_found(experiment, store), store), 2)
    assert set(page.charts) == {"by_op", "by_distance_opmax"}
    (rows,) = page.charts["by_op"].spec["datasets"].values()
    lines = {(row["series"], row["x"]): row["value"] for row in rows if not row["aside"]}
    assert lines == pytest.approx({("flat", 1): 85.0, ("flat", 2): 15.0, ("deep", 1): 95.0, ("deep", 2): 65.0})
    assert sum(row["aside"] for row in rows) == len(SOLVED) * 2, "every run stands beside the lines"


def test_one_size_is_no_comparison(store: Store) -> None:
    page = Page("a", "b", "c")
    write_at_lengths(page, [one for one in at_lengths(read_found(load_experiments()["depths"], store), store) if one.size == "deep"], 2)
    assert page.charts == {}


def test_the_sizes_of_small_depth_have_as_many_weights_or_cost_as_much() -> None:
    weights, costs = {}, {}
    for member in find_members(["small_depth"]):
        model, size = member.settings.model, member.labels["size"]
        weights[size] = 12 * model.layers * model.width**2
        checkpoint = next(unit for unit in units_of(member) if unit.stage == "checkpoint")
        costs[size] = network_behind(checkpoint).forward(150) * member.settings.training.num_steps
    reference = weights["8p"], costs["8p"]
    assert all(abs(value / reference[0] - 1) < 0.05 for value in weights.values())
    assert all(abs(value / reference[1] - 1) < 0.01 for size, value in costs.items() if size.endswith("f"))
    assert max(abs(value / reference[1] - 1) for size, value in costs.items() if size.endswith("p")) > 0.1, "equal weights are not equal arithmetic"
    unrotated = {member.labels["size"] for member in find_members(["small_depth"]) if member.settings.model.partial_rotary_factor == 0}
    assert unrotated == {"8n"}
