"""What must hold of probe scores: better than the same probe on random weights."""

from __future__ import annotations

from typing import Any

import pyarrow.parquet as pq

from igsm_pipeline.stage import Outcome, StageUnits

COMPARED = ("v_probe", "linear")


def headline_scores(run: StageUnits) -> list[dict[str, Any]]:
    """One row of the metrics per task, slice and probe, over all its queries: the V-probe, and the linear probe at its chosen layer.

    The layer is the one that held-out training problems chose: the test slice has no say in what stands for a probe. The task ``value`` is
    read on what is known.
    """
    rows = [row for path in run.tables() if path.name == "metrics.parquet" for row in pq.read_table(path).to_pylist()]
    return [row for row in rows if row["subset"] == "all" and row["op"] is None and row["probe"] in COMPARED and row["chosen"] is not False]


def beats_random(run: StageUnits) -> Outcome:
    """Each task's V-probe, and its linear probe at the chosen layer, beats the same probe on random weights on every slice.

    The interval of the paired difference must lie above 0. A probe that was not compared with its control fails.
    """
    rows = [row for row in headline_scores(run) if row["balanced_accuracy_gain"] is not None]
    gains = {f"{row['task']} on {row['slice']}, {row['probe']}": round(row["balanced_accuracy_gain"], 4) for row in rows}
    weak = [name for name, row in zip(gains, rows, strict=True) if not (row["balanced_accuracy_gain_low"] or 0) > 0]
    message = f"no gain over random weights: {'; '.join(weak)}" if weak else f"all {len(gains)} gains over random weights are above 0"
    return Outcome(not weak and bool(gains), message if gains else "no probe was compared with its control", {"gains": gains})
