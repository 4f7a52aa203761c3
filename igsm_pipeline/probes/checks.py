"""Checks of probes: all weights are there and finite, the chosen layer is the best one, and probes beat the same probes on random weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from safetensors import SafetensorError, safe_open

from igsm_pipeline.stage import Outcome, StageUnits

COMPARED = ("v_probe", "linear")


def headline_scores(run: StageUnits) -> list[dict[str, Any]]:
    """The rows of the metrics that stand for each task and slice: one for the V-probe, and one for the linear probe at its chosen layer.

    Each row covers all queries of its task and slice. The layer was chosen on held-out training problems, not on the slice.
    """
    rows = [row for path in run.tables() if path.name == "metrics.parquet" for row in pq.read_table(path).to_pylist()]
    return [row for row in rows if row["subset"] == "all" and row["op"] is None and row["probe"] in COMPARED and row["chosen"] is not False]


def beats_random(run: StageUnits) -> Outcome:
    """Each task's V-probe, and its linear probe at the chosen layer, beats the same probe on random weights on every slice.

    The whole interval of the paired difference must be above 0. The check also fails if no probe was compared with its control.
    """
    rows = [row for row in headline_scores(run) if row["balanced_accuracy_gain"] is not None]
    gains = {f"{row['task']} on {row['slice']}, {row['probe']}": round(row["balanced_accuracy_gain"], 4) for row in rows}
    weak = [name for name, row in zip(gains, rows, strict=True) if not (row["balanced_accuracy_gain_low"] or 0) > 0]
    message = f"no gain over random weights: {'; '.join(weak)}" if weak else f"all {len(gains)} gains over random weights are above 0"
    return Outcome(not weak and bool(gains), message if gains else "no probe was compared with its control", {"gains": gains})


def beats_text(run: StageUnits) -> Outcome:
    """Each task's V-probe beats the text probe on every slice: the whole interval of the paired difference is above 0.

    Where the text probe is always right, as it is on what the text says (known), there is nothing to beat, and the row does not count.
    """
    rows = [row for path in run.tables() if path.name == "beyond_text.parquet" for row in pq.read_table(path).to_pylist()]
    compared = [row for row in rows if row["probe"] == "v_probe" and row["missed"] and row["gain"] is not None]
    gains = {f"{row['task']} on {row['slice']}": round(row["gain"], 4) for row in compared}
    weak = [name for name, row in zip(gains, compared, strict=True) if not (row["gain_low"] or 0) > 0]
    message = f"no gain over the text alone: {'; '.join(weak)}" if weak else f"all {len(gains)} gains over the text alone are above 0"
    return Outcome(not weak and bool(gains), message if gains else "no probe was compared with the text", {"gains": gains})


def v_probes_trained(run: StageUnits) -> Outcome:
    """Every V-probe was trained for all its steps, and its losses and weights are finite."""
    wrong = []
    for unit in run.units:
        folder, steps = run.store.path(unit), unit.settings["num_steps"]
        losses = pq.read_table(folder / "losses.parquet")
        if losses["step"].to_pylist() != list(range(steps)):
            wrong.append(f"{unit.name}: its losses must be those of steps 0 to {steps - 1}, got {losses.num_rows} rows")
        if not np.isfinite(losses["loss"].to_numpy()).all():
            wrong.append(f"{unit.name}: every loss must be finite")
        wrong += [f"{unit.name}: {fault}" for fault in _weight_faults(folder / "probe.safetensors", ("rows", "directions", "weight", "bias"))]
    return Outcome(not wrong, "; ".join(wrong) or f"{len(run.units)} V-probes were trained for all their steps", {"probes": len(run.units)})


def linear_probes_chosen(run: StageUnits) -> Outcome:
    """Every task has a finite probe on every layer, and the chosen layer is the best on the held-out problems (of equal ones the lowest)."""
    wrong, probes = [], 0
    for unit in run.units:
        folder, layers = run.store.path(unit), dict[str, list[dict[str, Any]]]()
        for row in pq.read_table(folder / "selection.parquet").to_pylist():
            layers.setdefault(row["task"], []).append(row)
        if set(layers) != set(unit.settings["tasks"]) or len({tuple(row["layer"] for row in rows) for rows in layers.values()}) > 1:
            wrong.append(f"{unit.name}: selection.parquet must list the same layers for each of {', '.join(unit.settings['tasks'])}")
        for task, rows in layers.items():
            best = max(rows, key=lambda row: (row["balanced_accuracy"] or 0, -row["layer"]))
            if [row["layer"] for row in rows if row["chosen"]] != [best["layer"]]:
                wrong.append(f"{unit.name} {task}: layer {best['layer']} is the best on held-out problems and must be the one chosen")
        names = [f"{task}.layer_{row['layer']}.{part}" for task, rows in layers.items() for row in rows for part in ("weight", "bias")]
        wrong += [f"{unit.name}: {fault}" for fault in _weight_faults(folder / "probes.safetensors", names)]
        probes += sum(map(len, layers.values()))
    return Outcome(not wrong, "; ".join(wrong) or f"{probes} linear probes, one chosen layer per task", {"probes": probes})


def _weight_faults(path: Path, names: Iterable[str]) -> Iterator[str]:
    """Say what is wrong with a file of weights: it cannot be read, a tensor is missing, or a value is not finite."""
    try:
        with safe_open(path, framework="numpy") as weights:
            there = set(weights.keys())
            for name in names:
                if name not in there:
                    yield f"{path.name} lacks {name}"
                elif not np.isfinite(weights.get_tensor(name)).all():
                    yield f"{name} holds a value that is not finite"
    except (OSError, SafetensorError) as error:
        yield f"{path.name} cannot be read ({error})"
