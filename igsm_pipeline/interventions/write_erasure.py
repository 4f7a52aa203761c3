"""The stage ``erasure``: concepts are erased layer by layer; what the model then solves and writes, and what can still be read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor
from tqdm import tqdm

from igsm_pipeline.activations.forward import freeze, num_layers_of
from igsm_pipeline.intervals.bootstrap import balanced_accuracy_of, class_statistics, interval, mean_of
from igsm_pipeline.intervals.share import share
from igsm_pipeline.interventions.erasure import Cell, Named, Solved, draw_named, make_cells, read_named, read_texts, solve_erased
from igsm_pipeline.interventions.settings import NONE, ErasureSettings
from igsm_pipeline.interventions.stage import ERASED, READ_AGAIN
from igsm_pipeline.model.device import pick_device
from igsm_pipeline.model.gpt2_rotary import load
from igsm_pipeline.probes.linear import fit_probe
from igsm_pipeline.problems import read_problems
from igsm_pipeline.problems.files import write_parquet
from igsm_pipeline.queries.tasks import TASKS
from igsm_pipeline.stage import folder_of
from igsm_pipeline.store import Writing
from igsm_pipeline.tokens import build_table
from igsm_pipeline.verification.write import verdict_table
from igsm_pipeline.world import load_world

TRAIN, ASKED = "train", "asked"
"""Parts of the role ``problems``: erasers and probes learn from the one, and act on the other."""


def write_erasure(settings: ErasureSettings, inputs: Mapping[str, Path], writing: Writing) -> None:
    """Write erasure.parquet and erasure_reading.parquet.

    Args:
        settings: which concepts, at which layers.
        inputs: folders: ``world``, ``checkpoint``, ``problems:train`` and ``problems:asked``.
        writing: where the files go.
    """
    run = _Run(settings, inputs)
    nothing = Cell(NONE, 0, 0, None)
    before = run.solve(nothing)
    solved, read = [run.solved_row(nothing, before, before)], run.read(nothing, {})
    layers = tuple(range(1, num_layers_of(run.model))) if settings.layers is None else settings.layers
    for layer in tqdm(layers, desc="erasure", unit="layer", mininterval=1.0):
        own = {part: read_named(run.model, named, layer, max_tokens=settings.read_tokens) for part, named in run.named.items()}
        read += run.scores(Cell(NONE, layer, 0, None), layer, own)
        for cell in run.cells(layer, own[TRAIN]):
            solved.append(run.solved_row(cell, run.solve(cell), before))
            read += run.read(cell, own)
    write_parquet(pa.Table.from_pylist(solved, schema=ERASED.schema()), writing.folder / ERASED.files)
    write_parquet(pa.Table.from_pylist(read, schema=READ_AGAIN.schema()), writing.folder / READ_AGAIN.files)
    writing.counts.update(problems=len(before.tokens), cells=len(solved) - 1, training_queries=len(run.named[TRAIN].tokens))


class _Run:
    """The model, the problems, and the names in them."""

    def __init__(self, settings: ErasureSettings, inputs: Mapping[str, Path]) -> None:
        self.settings, family = settings, settings.family
        world = load_world(inputs["world"])
        self.table = build_table(world, family.modulus, settings.tokens, inputs["checkpoint"])
        self.model = freeze(load(inputs["checkpoint"], device=pick_device(settings.device)))
        self.batches = {part: read_problems(folder_of(inputs, "problems", part), world, family.modulus) for part in (TRAIN, ASKED)}
        how: dict[str, Any] = {"per_problem": settings.per_problem, "seed": settings.seed}
        self.named: dict[str, Named] = {
            part: draw_named(batch, self.table, family, settings.tasks, stream=f"erasure {part}", **how) for part, batch in self.batches.items()
        }
        self.how: dict[str, Any] = {"seed": settings.seed, "num_resamples": settings.num_resamples}

    def cells(self, layer: int, states: Tensor) -> Iterator[Cell]:
        """What is erased after a layer, whose states where the training names end are given."""
        settings, named = self.settings, self.named[TRAIN]
        texts = read_texts(self.model, named, layer, max_tokens=settings.read_tokens) if settings.at == "everywhere" else None
        return make_cells(states, named, layer, settings.family.modulus, draws=settings.draws, seed=settings.seed, texts=texts)

    def solve(self, cell: Cell) -> Solved:
        """The problems, with something erased."""
        known = self.settings.tokens.segmentation != "checkpoint"
        return solve_erased(self.model, cell, self.batches[ASKED], self.table, self.settings.family, max_length=self.settings.max_tokens, known=known)

    def solved_row(self, cell: Cell, solved: Solved, before: Solved) -> dict[str, Any]:
        """A row of ``erasure``."""
        correct, other = solved.verdicts.correct, before.verdicts.correct
        errors = [error for error in verdict_table(solved.verdicts)["error"].to_pylist() if error is not None]
        useless, kept, number = solved.verdicts.unnecessary_parameters > 0, solved.same_as(before), len(correct)
        difference = np.stack([correct.astype(np.float64) - other, np.ones(number)], axis=1)
        return {
            **self.key(cell), "moved": cell.moved, "moved_names": cell.moved_names, "n": number,
            **share(int(correct.sum()), number).columns("correct"),
            **interval(difference, mean_of, scale=(-1.0, 1.0), **self.how).columns("gain"),
            **share(int(kept.sum()), number).columns("kept"), **share(int(useless.sum()), number).columns("useless"),
            "first_error": max(sorted(set(errors)), key=errors.count) if errors else None,
        }  # fmt: skip

    def read(self, cell: Cell, own: Mapping[str, Tensor]) -> list[dict[str, Any]]:
        """What new linear probes read once something is erased: at the layer itself, and at the last one, where the model may have it again."""
        rows = [] if cell.eraser is None else self.scores(cell, cell.layer, {part: cell.eraser(states) for part, states in own.items()})
        last = num_layers_of(self.model)
        with cell.acting(self.model):
            again = {part: read_named(self.model, named, last, max_tokens=self.settings.read_tokens) for part, named in self.named.items()}
        return rows + self.scores(cell, last, again)

    def scores(self, cell: Cell, layer: int, states: Mapping[str, Tensor]) -> list[dict[str, Any]]:
        """Rows of ``erasure_reading`` of one layer: every task, by a probe that is taught on the one part and asked about the other."""
        rows = []
        problems, index = np.unique(self.named[ASKED].problem, return_inverse=True)
        for task in self.settings.tasks:
            classes = TASKS[task].classes(self.settings.family.modulus)
            label = {part: named.labels[task] for part, named in self.named.items()}
            probe = fit_probe(states[TRAIN], torch.from_numpy(label[TRAIN]), classes, l2=self.settings.l2)
            said, _ = probe.predict(states[ASKED])
            sums = class_statistics(label[ASKED], said, index, num_problems=len(problems), num_classes=classes)
            counts = {"task": task, "read_layer": layer, "n": len(said), "num_problems": len(problems)}
            rows.append({**self.key(cell), **counts, **interval(sums, balanced_accuracy_of, **self.how).columns("balanced_accuracy")})
        return rows

    def key(self, cell: Cell) -> dict[str, Any]:
        """The columns that both tables share."""
        return {"erased": cell.what, "acts": self.settings.at, "layer": cell.layer, "rank": cell.rank, "draw": cell.draw}
