"""The checks of probes look at what was declared: the V-probe, the chosen layer, finite weights; each sees the damage it is there for."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from igsm_pipeline.probes.checks import beats_random, beats_text, linear_probes_chosen, v_probes_trained
from igsm_pipeline.probes.scoring import METRICS_SCHEMA
from igsm_pipeline.probes.stage import BEYOND_TEXT, LOSSES, PROBE_SCORES, SELECTION

VALUE = ("value", "op<=max")


def gain(probe: str, low: float | None, *, layer: int | None = None, chosen: bool | None = None, subset: str = "all") -> dict[str, Any]:
    """A row of the metrics whose paired difference begins at ``low``."""
    task, part = VALUE
    known = {"task": task, "slice": part, "probe": probe, "layer": layer, "chosen": chosen, "subset": subset}
    gains = {"balanced_accuracy_gain": None if low is None else low + 0.05, "balanced_accuracy_gain_low": low}
    return {**dict.fromkeys(METRICS_SCHEMA.names), **known, **gains}


def scored(folder: Path, *rows: dict[str, Any]) -> Any:
    """Units of probe_scores with these metrics."""
    pq.write_table(pa.Table.from_pylist(list(rows), schema=METRICS_SCHEMA), folder / "metrics.parquet")
    return SimpleNamespace(tables=lambda: [folder / "metrics.parquet"])


CHOSEN = {"layer": 1, "chosen": True}
OTHER = {"layer": 2, "chosen": False}


def test_probes_that_gain_pass(tmp_path: Path) -> None:
    outcome = beats_random(scored(tmp_path, gain("v_probe", 0.1), gain("linear", 0.1, **CHOSEN), gain("linear", -0.2, **OTHER)))
    assert outcome.passed, outcome.message
    assert outcome.metadata["gains"] == {"value on op<=max, v_probe": 0.15, "value on op<=max, linear": 0.15}


def test_a_layer_that_nobody_chose_does_not_stand_for_a_probe_however_good_it_is_on_the_test_slice(tmp_path: Path) -> None:
    outcome = beats_random(scored(tmp_path, gain("v_probe", -0.02), gain("linear", -0.02, **CHOSEN), gain("linear", 0.4, **OTHER)))
    assert not outcome.passed
    assert outcome.message == "no gain over random weights: value on op<=max, v_probe; value on op<=max, linear"


def test_a_linear_probe_that_gains_does_not_make_up_for_a_v_probe_that_does_not(tmp_path: Path) -> None:
    outcome = beats_random(scored(tmp_path, gain("v_probe", 0.0), gain("linear", 0.3, **CHOSEN)))
    assert not outcome.passed
    assert outcome.message == "no gain over random weights: value on op<=max, v_probe"


def test_a_gain_on_a_subset_of_the_queries_is_none(tmp_path: Path) -> None:
    outcome = beats_random(scored(tmp_path, gain("v_probe", -0.1), gain("v_probe", 0.3, subset="necessary")))
    assert not outcome.passed


def test_a_probe_without_control_fails(tmp_path: Path) -> None:
    outcome = beats_random(scored(tmp_path, gain("v_probe", None), gain("random", 0.3)))
    assert (outcome.passed, outcome.message) == (False, "no probe was compared with its control")


def over_text(task: str, low: float, *, missed: int = 9, probe: str = "v_probe") -> dict[str, Any]:
    """A row of beyond_text whose gain begins at ``low``."""
    known = {"task": task, "slice": "op=max", "probe": probe, "missed": missed, "gain": low + 0.05, "gain_low": low}
    return {**dict.fromkeys(BEYOND_TEXT.schema().names), **known}


def beyond(folder: Path, *rows: dict[str, Any]) -> Any:
    """Units of probe_scores with these rows of beyond_text."""
    pq.write_table(pa.Table.from_pylist(list(rows), schema=BEYOND_TEXT.schema()), folder / "beyond_text.parquet")
    return SimpleNamespace(tables=lambda: [folder / "beyond_text.parquet"])


def test_a_probe_must_beat_the_text_where_the_text_errs(tmp_path: Path) -> None:
    good = beats_text(beyond(tmp_path, over_text("nece", 0.01), over_text("known", -0.2, missed=0), over_text("nece", -0.3, probe="random")))
    assert (good.passed, good.metadata["gains"]) == (True, {"nece on op=max": 0.06})
    bad = beats_text(beyond(tmp_path, over_text("nece", 0.01), over_text("dep", -0.01)))
    assert (bad.passed, bad.message) == (False, "no gain over the text alone: dep on op=max")
    none = beats_text(beyond(tmp_path, over_text("known", -0.2, missed=0)))
    assert (none.passed, none.message) == (False, "no probe was compared with the text")


def test_both_comparisons_are_checks_of_the_stage_that_stop_nothing() -> None:
    assert {check.name: check.blocking for check in PROBE_SCORES.checks} == {"beats_random": False, "beats_text": False}


def unit(folder: Path, **settings: Any) -> Any:
    """One unit in a folder, as checks see it."""
    one = SimpleNamespace(name="nece trained", settings=settings)
    return SimpleNamespace(units=(one,), store=SimpleNamespace(path=lambda _: folder))


def v_probe(folder: Path, losses: list[float], weight: float = 1.0) -> Any:
    pq.write_table(pa.table({"step": list(range(len(losses))), "loss": losses}, schema=LOSSES.schema()), folder / "losses.parquet")
    tensors = {name: torch.ones(2, 2) for name in ("rows", "directions", "weight", "bias")}
    tensors["directions"][1, 0] = weight
    save_file(tensors, folder / "probe.safetensors")
    return unit(folder, num_steps=3)


def test_a_v_probe_that_took_all_its_steps_passes(tmp_path: Path) -> None:
    assert v_probes_trained(v_probe(tmp_path, [0.7, 0.6, 0.5])).passed


@pytest.mark.parametrize(
    ("losses", "weight", "told"),
    [
        ([0.7, 0.6], 1.0, "its losses must be those of steps 0 to 2, got 2 rows"),
        ([0.7, float("nan"), 0.5], 1.0, "every loss must be finite"),
        ([0.7, 0.6, 0.5], float("inf"), "directions holds a value that is not finite"),
    ],
)
def test_a_v_probe_that_stopped_early_or_diverged_fails(tmp_path: Path, losses: list[float], weight: float, told: str) -> None:
    outcome = v_probes_trained(v_probe(tmp_path, losses, weight))
    assert (outcome.passed, outcome.message) == (False, f"nece trained: {told}")


def test_weights_that_were_cut_fail_as_a_file(tmp_path: Path) -> None:
    run = v_probe(tmp_path, [0.7, 0.6, 0.5])
    path = tmp_path / "probe.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    assert v_probes_trained(run).message.startswith("nece trained: probe.safetensors cannot be read")


def linear(folder: Path, scores: list[float | None], chosen: int, *, lost: str = "", tasks: tuple[str, ...] = ("nece",)) -> Any:
    rows = [{"task": "nece", "layer": layer, "n": 9, "balanced_accuracy": one, "chosen": layer == chosen} for layer, one in enumerate(scores)]
    pq.write_table(pa.Table.from_pylist(rows, schema=SELECTION.schema()), folder / "selection.parquet")
    names = [f"nece.layer_{layer}.{part}" for layer in range(len(scores)) for part in ("weight", "bias")]
    save_file({name: torch.ones(1) for name in names if name != lost}, folder / "probes.safetensors")
    return unit(folder, tasks=list(tasks))


@pytest.mark.parametrize(("scores", "chosen"), [([0.5, 0.9, 0.7], 1), ([0.8, 0.8], 0), ([None, None], 0)])
def test_the_best_layer_the_lowest_of_equals_and_the_first_of_unknown_ones_pass(tmp_path: Path, scores: list[float | None], chosen: int) -> None:
    outcome = linear_probes_chosen(linear(tmp_path, scores, chosen))
    assert outcome.passed, outcome.message


def test_another_layer_than_the_best_fails(tmp_path: Path) -> None:
    outcome = linear_probes_chosen(linear(tmp_path, [0.5, 0.9, 0.7], 2))
    assert outcome.message == "nece trained nece: layer 1 is the best on held-out problems and must be the one chosen"


def test_missing_tasks_and_weights_fail(tmp_path: Path) -> None:
    assert "the same layers for each of nece, dep" in linear_probes_chosen(linear(tmp_path, [0.5], 0, tasks=("nece", "dep"))).message
    assert "probes.safetensors lacks nece.layer_1.bias" in linear_probes_chosen(linear(tmp_path, [0.9, 0.5], 0, lost="nece.layer_1.bias")).message
