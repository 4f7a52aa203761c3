"""The stage linear_probes on states made by hand: a layer that knows the answer, one that does not."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from igsm_pipeline.errors import StageFailed
from igsm_pipeline.probes.inputs import parts_of
from igsm_pipeline.probes.linear import LinearProbe
from igsm_pipeline.probes.linear_stage import layers_of, read_layer, write_linear_probes
from igsm_pipeline.probes.metrics import DISTANCE_SCHEMA, KEY_COLUMNS, METRICS_SCHEMA
from igsm_pipeline.probes.settings import LinearProbeSettings
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


def _cache(folder, queries, seed, *, knows):
    """Two files of states: layer 2 holds the label if ``knows``, layer 0 is noise."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    noise, states = (rng.normal(size=(len(queries), WIDTH)) for _ in range(2))
    label = queries["label"].to_numpy()
    if knows:
        states[np.arange(len(label)), label] += 6
    table = queries.select(KEY_COLUMNS)
    for layer, values in ((0, noise), (2, states)):
        kind = pa.float16() if layer else pa.float32()
        flat = pa.array(values.astype(np.float16 if layer else np.float32).ravel(), kind)
        table = table.append_column(f"layer_{layer}", pa.FixedSizeListArray.from_arrays(flat, WIDTH))
    for number, start in enumerate((0, 37)):
        pq.write_table(table.slice(start, 37 if number == 0 else None), folder / f"activations-{number:05d}.parquet")


def _inputs(home, task="nece", control=True):
    inputs = {}
    for seed, (part, num) in enumerate({"probe_train": 600, "op=max": 300, "reask": 200}.items()):
        queries = _queries(seed, num, task)
        folder = home / f"queries {part}"
        folder.mkdir(parents=True)
        pq.write_table(queries, folder / "queries.parquet")
        inputs[f"queries:{part}"] = folder
        for kind in ("activations", "control") if control else ("activations",):
            inputs[f"{kind}:{part}"] = home / f"{kind} {part}"
            _cache(inputs[f"{kind}:{part}"], queries, seed + 10, knows=kind == "activations")
    return inputs


def _run(home, inputs, name="out"):
    writing = Writing(home / name, resumed=False)
    writing.folder.mkdir()
    write_linear_probes(LinearProbeSettings(modulus=5, num_resamples=100, device="cpu"), inputs, writing)
    return writing


def _metrics(writing):
    table = pq.read_table(writing.folder / "metrics.parquet")
    assert table.schema == METRICS_SCHEMA
    return {(row["probe"], row["layer"], row["slice"]): row for row in table.to_pylist() if (row["subset"], row["op"]) == ("all", None)}


def test_the_layer_that_knows_is_told_from_the_one_that_does_not_and_from_its_control(tmp_path):
    rows = _metrics(_run(tmp_path, _inputs(tmp_path)))
    for part, num in (("op=max", 300), ("reask", 200)):
        knows, blind, control = rows["linear", 2, part], rows["linear", 0, part], rows["linear_random", 2, part]
        assert (knows["n"], knows["candidates"]) == (num, "existing")
        assert knows["accuracy"] > 0.95
        assert knows["balanced_accuracy_gain_low"] > 0.2
        assert blind["auroc_low"] < 0.6
        assert control["balanced_accuracy"] < 0.65
        assert rows["majority", None, part]["balanced_accuracy"] == 0.5


def test_values_are_told_apart_by_one_probe_with_a_class_each(tmp_path):
    writing = _run(tmp_path, _inputs(tmp_path, task="value", control=False))
    row = _metrics(writing)["linear", 2, "op=max"]
    assert row["balanced_accuracy"] > 0.95
    assert (row["auroc"], row["balanced_accuracy_gain"]) == (None, None)
    assert len(pq.read_table(writing.folder / "distances.parquet")) == 0


def test_predictions_are_what_the_saved_probe_says(tmp_path):
    inputs = _inputs(tmp_path)
    writing = _run(tmp_path, inputs)
    queries = pq.read_table(inputs["queries:reask"] / "queries.parquet")
    probe = LinearProbe.from_tensors(load_file(writing.folder / "probes.safetensors"), "linear.layer_2")
    _, score = probe.predict(read_layer(inputs["activations:reask"], 2, queries))
    written = pq.read_table(writing.folder / "predictions.parquet", filters=[("slice", "=", "reask"), ("layer", "=", 2), ("probe", "=", "linear")])
    assert written.select(KEY_COLUMNS) == queries.select(KEY_COLUMNS)
    np.testing.assert_array_equal(written["score"].to_numpy(), score)


def test_distances_of_nece_are_written_per_layer(tmp_path):
    table = pq.read_table(_run(tmp_path, _inputs(tmp_path, control=False)).folder / "distances.parquet")
    assert table.schema == DISTANCE_SCHEMA
    assert {(row["layer"], row["slice"], row["distance"]) for row in table.to_pylist()} == {
        (layer, part, distance) for layer in (0, 2) for part in ("op=max", "reask") for distance in (1, 2, 3)
    }


def test_the_same_inputs_give_the_same_files(tmp_path):
    inputs = _inputs(tmp_path)
    first, second = (_run(tmp_path, inputs, name).folder for name in ("first", "second"))
    for name in ("probes.safetensors", "predictions.parquet", "metrics.parquet", "distances.parquet"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_states_come_in_the_order_of_their_queries_whatever_their_files_and_type(tmp_path):
    inputs = _inputs(tmp_path, control=False)
    queries = pq.read_table(inputs["queries:op=max"] / "queries.parquet")
    assert layers_of(inputs["activations:op=max"]) == [0, 2]
    states = read_layer(inputs["activations:op=max"], 2, queries)
    assert (states.dtype, states.shape) == (torch.float32, (300, WIDTH))
    tables = [pq.read_table(path) for path in sorted(inputs["activations:op=max"].glob("*.parquet"))]
    np.testing.assert_array_equal(states.numpy(), np.array([row for t in tables for row in t["layer_2"].to_pylist()], np.float32))


def test_a_cache_of_other_queries_is_refused(tmp_path):
    inputs = _inputs(tmp_path, control=False)
    inputs["activations:reask"] = inputs["activations:op=max"]
    with pytest.raises(StageFailed, match="rebuild the activation cache"):
        _run(tmp_path, inputs)


def test_no_training_queries_are_said_to_be_missing(tmp_path):
    inputs = _inputs(tmp_path, control=False)
    pq.write_table(QUERY_SCHEMA.empty_table(), inputs["queries:probe_train"] / "queries.parquet")
    with pytest.raises(StageFailed, match="draw more problems"):
        _run(tmp_path, inputs)


def test_parts_are_named_by_roles_the_training_part_first():
    assert parts_of(["queries:reask", "queries:probe_train", "activations:x", "queries:op=max"], "queries") == ["probe_train", "op=max", "reask"]
