"""The stage linear_probes on states made by hand: a layer that knows the answer, one that does not; the better one is chosen unseen."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from igsm_pipeline.activations.cache import QUERY_KEY, CachedStates
from igsm_pipeline.errors import StageFailed
from igsm_pipeline.probes.linear import LinearProbe
from igsm_pipeline.probes.settings import LinearProbeSettings
from igsm_pipeline.probes.write_linear_probes import SELECTION_SCHEMA, hold_out, write_linear_probes
from igsm_pipeline.queries.draw import QUERY_SCHEMA
from igsm_pipeline.store import Writing

WIDTH = 8


def _queries(seed, num, task):
    rng = np.random.default_rng(seed)
    label = rng.integers(6, size=num) if task == "value" else rng.integers(2, size=num)
    columns = {
        "problem": np.arange(num) // 5,
        "task": [task] * num,
        "position": np.zeros(num),
        "parameter": np.arange(num) % 5,
        "parameter_b": np.full(num, 255),
        "label": label,
        "distance": [int(d) if y else None for d, y in zip(rng.integers(1, 4, num), label, strict=True)],
        "depth": np.zeros(num),
        "necessary": label == 1,
        "known": np.zeros(num, bool),
        "op": np.arange(num) // 5 % 2 + 1,
        "candidates": ["existing"] * num,
    }
    return pa.table({name: pa.array(values, QUERY_SCHEMA.field(name).type, safe=False) for name, values in columns.items()}, schema=QUERY_SCHEMA)


def _cache(folder, queries, seed):
    """Two files of states: layer 2 holds the label, layer 0 is noise."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    noise, states = (rng.normal(size=(len(queries), WIDTH)) for _ in range(2))
    label = queries["label"].to_numpy()
    states[np.arange(len(label)), label] += 6
    table = queries.select(QUERY_KEY)
    for layer, values in ((0, noise), (2, states)):
        table = table.append_column(f"layer_{layer}", pa.FixedSizeListArray.from_arrays(pa.array(values.astype(np.float16).ravel()), WIDTH))
    for number, start in enumerate((0, 37)):
        pq.write_table(table.slice(start, 37 if number == 0 else None), folder / f"queries-{number:05d}.parquet")


def _inputs(home, task="nece", num=900):
    inputs = {"queries": home / "queries", "activations": home / "activations"}
    queries = _queries(1, num, task)
    inputs["queries"].mkdir(parents=True)
    pq.write_table(queries, inputs["queries"] / f"queries-{task}.parquet")
    _cache(inputs["activations"], queries, 11)
    return inputs


def _run(home, inputs, name="out", task="nece", prior="training"):
    writing = Writing(home / name, resumed=False)
    writing.folder.mkdir()
    write_linear_probes(LinearProbeSettings(modulus=5, tasks=(task,), prior=prior, device="cpu"), inputs, writing)
    return writing


@pytest.mark.parametrize("task", ["nece", "value"])
def test_the_layer_that_knows_is_chosen_on_problems_that_no_fit_saw(tmp_path, task):
    inputs = _inputs(tmp_path, task)
    writing = _run(tmp_path, inputs, task=task)
    table = pq.read_table(writing.folder / "selection.parquet")
    assert table.schema == SELECTION_SCHEMA
    blind, knows = table.to_pylist()
    assert (blind["layer"], knows["layer"], blind["chosen"], knows["chosen"]) == (0, 2, False, True)
    assert knows["balanced_accuracy"] > 0.95
    assert blind["balanced_accuracy"] < 0.65
    assert knows["n"] == 5 * int(hold_out(180, 0.2, 0).sum()) < 900


def test_the_fit_depends_on_no_held_out_query(tmp_path):
    inputs = _inputs(tmp_path)
    first = load_file(_run(tmp_path, inputs, "first").folder / "probes.safetensors")
    path = inputs["queries"] / "queries-nece.parquet"
    table = pq.read_table(path)
    held = hold_out(180, 0.2, 0)[table["problem"].to_numpy()]
    turned = pa.array(np.where(held, 1 - table["label"].to_numpy(), table["label"].to_numpy()), pa.int16())
    pq.write_table(table.set_column(table.column_names.index("label"), QUERY_SCHEMA.field("label"), turned), path)
    writing = _run(tmp_path, inputs, "second")
    second = load_file(writing.folder / "probes.safetensors")
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert pq.read_table(writing.folder / "selection.parquet")["balanced_accuracy"].to_pylist()[1] < 0.05


@pytest.mark.parametrize("task", ["nece", "value"])
def test_with_a_uniform_prior_the_shares_of_what_is_fitted_are_taken_from_the_biases(tmp_path, task):
    inputs = _inputs(tmp_path, task)
    by_shares, evened = (load_file(_run(tmp_path, inputs, prior, task, prior).folder / "probes.safetensors") for prior in ("training", "uniform"))
    queries = pq.read_table(inputs["queries"] / f"queries-{task}.parquet")
    fitted = queries["label"].to_numpy()[~hold_out(180, 0.2, 0)[queries["problem"].to_numpy()]]
    classes = 6 if task == "value" else 2
    shares = np.log([((fitted == one).sum() + 1) / (len(fitted) + classes) for one in range(classes)])
    moved = shares[1:] - shares[:1] if classes == 2 else shares
    for layer in (0, 2):
        name = f"{task}.layer_{layer}"
        assert torch.equal(by_shares[f"{name}.weight"], evened[f"{name}.weight"])
        np.testing.assert_allclose(by_shares[f"{name}.bias"] - evened[f"{name}.bias"], moved, atol=1e-5)
        assert abs(moved).max() > 0.01, "the shares should differ"


def test_a_longer_set_holds_out_the_same_problems_first():
    assert hold_out(500, 0.3, 4)[:200].tolist() == hold_out(200, 0.3, 4).tolist()
    assert 0.2 < hold_out(500, 0.3, 4).mean() < 0.4


def test_of_one_problem_that_would_be_held_out_none_is_and_the_first_layer_stands_for_the_task(tmp_path):
    seed = next(seed for seed in range(99) if hold_out(1, 0.2, seed)[0])
    inputs = _inputs(tmp_path, num=5)
    (tmp_path / "out").mkdir()
    writing = Writing(tmp_path / "out", resumed=False)
    write_linear_probes(LinearProbeSettings(modulus=5, tasks=("nece",), seed=seed, device="cpu"), inputs, writing)
    rows = pq.read_table(writing.folder / "selection.parquet").to_pylist()
    assert [(row["n"], row["balanced_accuracy"], row["chosen"]) for row in rows] == [(0, None, True), (0, None, False)]


def test_the_saved_probe_is_the_one_that_was_tested(tmp_path):
    inputs = _inputs(tmp_path)
    writing = _run(tmp_path, inputs)
    queries = pq.read_table(inputs["queries"] / "queries-nece.parquet")
    cache = CachedStates(inputs["activations"])
    assert cache.layers == [0, 2]
    probe = LinearProbe.from_tensors(load_file(writing.folder / "probes.safetensors"), "nece.layer_2")
    said, _ = probe.predict(torch.from_numpy(cache.layer(2)[cache.rows_of(queries)]))
    label = queries["label"].to_numpy()
    held = hold_out(180, 0.2, 0)[queries["problem"].to_numpy()]
    recall = [np.mean(said[held & (label == k)] == k) for k in (0, 1)]
    assert pq.read_table(writing.folder / "selection.parquet")["balanced_accuracy"].to_pylist()[1] == pytest.approx(np.mean(recall))


def test_the_same_inputs_give_the_same_files(tmp_path):
    inputs = _inputs(tmp_path)
    first, second = (_run(tmp_path, inputs, name).folder for name in ("first", "second"))
    for name in ("probes.safetensors", "selection.parquet"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_a_cache_of_other_queries_is_refused(tmp_path):
    inputs = _inputs(tmp_path) | {"activations": _inputs(tmp_path / "other", num=300)["activations"]}
    with pytest.raises(StageFailed, match="rebuild the activation cache"):
        _run(tmp_path, inputs)


def test_no_training_queries_are_said_to_be_missing(tmp_path):
    inputs = _inputs(tmp_path)
    pq.write_table(QUERY_SCHEMA.empty_table(), inputs["queries"] / "queries-nece.parquet")
    with pytest.raises(StageFailed, match="draw more problems"):
        _run(tmp_path, inputs)
