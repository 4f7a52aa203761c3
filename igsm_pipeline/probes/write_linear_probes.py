"""The stage ``linear_probes``: it fits a linear probe per task and cached layer of one model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from igsm_pipeline import seeding
from igsm_pipeline.activations.cache import CachedStates
from igsm_pipeline.activations.computed import ComputedStates
from igsm_pipeline.errors import StageFailed
from igsm_pipeline.intervals.bootstrap import balanced_accuracy_of, class_statistics
from igsm_pipeline.model.device import pick_device
from igsm_pipeline.probes.files import PROBES, SELECTION
from igsm_pipeline.probes.linear import LinearProbe, fit_probe
from igsm_pipeline.probes.prior import log_shares
from igsm_pipeline.probes.settings import LinearProbeSettings
from igsm_pipeline.probes.stage import SELECTION as SELECTION_TABLE
from igsm_pipeline.probes.weights import write_tensors
from igsm_pipeline.problems.files import write_parquet
from igsm_pipeline.queries.tasks import TASKS
from igsm_pipeline.queries.write import read_queries
from igsm_pipeline.store import Writing

SELECTION_SCHEMA = SELECTION_TABLE.schema()


def write_linear_probes(settings: LinearProbeSettings, inputs: Mapping[str, Path], writing: Writing) -> None:
    """Fit the probes; write probes.safetensors (``TASK.layer_K.weight`` and ``.bias``) and selection.parquet (``SELECTION_SCHEMA``).

    No fit sees the held-out training problems. The layer with the best balanced accuracy there is the task's chosen layer, which comparisons
    use; so no evaluation slice chooses its own layer.

    Args:
        settings: which tasks, and how to fit.
        inputs: folders: ``queries`` and ``activations`` of the training problems; with ``settings.states`` instead of the latter ``world``,
            ``problems`` and ``model``, from which the same states are computed.
        writing: where the files go.

    Raises:
        StageFailed: a task has no training queries, or the cache lacks the states of a query.
    """
    cache = CachedStates(inputs["activations"]) if settings.states is None else ComputedStates(settings.states, inputs)
    device = pick_device(settings.device)
    asked = {task: _TrainingQueries.read(inputs["queries"], task, settings, cache) for task in settings.tasks}
    tensors: dict[str, Tensor] = {}
    rows: list[dict[str, Any]] = []
    with tqdm(total=len(asked) * len(cache.layers), desc=f"linear probes {settings.arm}", unit="fit", mininterval=1.0) as progress:
        for layer in cache.layers:
            states = torch.from_numpy(cache.layer(layer))
            for task, one in asked.items():
                fitted = states[one.rows[~one.held]].to(device)
                probe = fit_probe(fitted, one.label[~one.held], one.num_classes, l2=settings.l2, max_iterations=settings.max_iterations)
                probe = probe.without(log_shares(settings.prior, one.label[~one.held].numpy(), one.num_classes))
                tensors |= probe.tensors(f"{task}.layer_{layer}")
                rows.append({"task": task, "layer": layer, "n": int(one.held.sum()), "balanced_accuracy": one.test(probe, states)})
                progress.update()
    write_tensors(tensors, writing.folder / PROBES)
    write_parquet(pa.Table.from_pylist(list(_choose(rows)), schema=SELECTION_SCHEMA), writing.folder / SELECTION)
    writing.counts.update(probes=len(rows), training_queries=sum(len(one.rows) for one in asked.values()))


class _TrainingQueries:
    """The training queries of one task: their rows in the cache, their labels, and which of them are held out."""

    def __init__(self, rows: NDArray[np.int64], label: NDArray[np.int64], held: NDArray[np.bool_], num_classes: int) -> None:
        self.rows, self.label, self.held, self.num_classes = torch.from_numpy(rows), torch.from_numpy(label), torch.from_numpy(held), num_classes

    @classmethod
    def read(cls, folder: Path, task: str, settings: LinearProbeSettings, cache: CachedStates | ComputedStates) -> _TrainingQueries:
        queries = read_queries(folder, task)
        if not len(queries):
            raise StageFailed(f"linear_probes: there must be training queries of {task}, got none; draw more problems for the probes")
        problem = queries["problem"].to_numpy()
        held = hold_out(int(problem.max()) + 1, settings.held_out, settings.seed)[problem]
        held &= not held.all()  # with a handful of problems, all may be drawn: then none is held out, and the first layer is chosen
        label = queries["label"].to_numpy().astype(np.int64)
        return cls(cache.rows_of(queries), label, held, TASKS[task].classes(settings.modulus))

    def test(self, probe: LinearProbe, states: Tensor) -> float | None:
        label = self.label[self.held].numpy()
        if not len(label):
            return None
        said, _ = probe.predict(states[self.rows[self.held]])
        nothing = np.zeros(len(label), np.int64)
        sums = class_statistics(label, said, nothing, num_problems=1, num_classes=self.num_classes)
        return float(balanced_accuracy_of(sums)[0])


def hold_out(num_problems: int, share: float, seed: int) -> NDArray[np.bool_]:
    """Draw the problems that are held out of the fits: a mask of shape (num_problems,). A longer set begins with the draws of a shorter one."""
    return np.asarray(seeding.generator(seed, "linear_probes.held_out").random(num_problems) < share)


def _choose(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    best: dict[str, dict[str, Any]] = {}
    for row in rows:
        value = row["balanced_accuracy"]
        if row["task"] not in best or (value is not None and value > (best[row["task"]]["balanced_accuracy"] or 0)):
            best[row["task"]] = row
    for row in rows:
        yield {**row, "chosen": row is best[row["task"]]}
