"""What a GPU would be given, counted on a processor: windows and their fill, graphs and shapes of a training step, operations and bytes.

    python -m benchmarks.accelerator windows    fill of best-fit and aligned windows, tokens per second of processor time and from two processes
    python -m benchmarks.accelerator step       operations and bytes per position against the formulas of plans, shapes in 30 steps

Nothing here runs on a GPU. The last line of each part is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import time

import numpy as np
import torch

from igsm_pipeline.costs import Network
from igsm_pipeline.model import gpt2_rotary
from igsm_pipeline.model.settings import ModelSettings
from igsm_pipeline.problems import ProblemBatch, family_by_name
from igsm_pipeline.tokens import TokenSettings, emit
from igsm_pipeline.tokens.settings import Alignment
from igsm_pipeline.tokens.windows import pack
from igsm_pipeline.training.batches import labels_of
from igsm_pipeline.training.counting import formula, kept_numbers, operations
from igsm_pipeline.training.one_graph import WindowLoss
from igsm_pipeline.training.settings import StreamSettings
from igsm_pipeline.training.steps import micro_batches
from igsm_pipeline.training.stream import ShardMaker, StreamedWindows
from igsm_pipeline.world import load_world

WINDOWS = {"med": 768, "hard": 1024}
ALIGNMENTS: tuple[Alignment, ...] = ("aligned", "best_fit")


def windows(options: argparse.Namespace) -> None:
    for name, window in WINDOWS.items():
        family, world = family_by_name(name), load_world("igsm")
        row: dict[str, object] = {"what": f"{name}, windows of {window}", "shards": options.shards, "load": os.getloadavg()[0]}
        for alignment in ALIGNMENTS:
            stream = StreamSettings(window=window, alignment=alignment)
            maker = ShardMaker(stream, family, TokenSettings(), world, 0)
            maker.make(0)  # compiles
            started = time.process_time()
            _, lengths = maker.make(1)
            row[alignment] = {
                "fill": round(float(lengths.sum()) / (len(lengths) * window), 4),
                "million tokens per second of processor time": round(float(lengths.sum()) / (time.process_time() - started) / 1e6, 2),
            }
        records = np.concatenate([maker.blocks.make(block).records for block in range(stream.blocks_per_shard)])
        emitted = emit(ProblemBatch(records, world, family.modulus), maker.table, family.format)
        started = time.process_time()
        packed = pack(emitted, window, "best_fit")
        row["packing alone, million tokens per second"] = round(float(packed.lengths.sum()) / (time.process_time() - started) / 1e6, 1)
        row["two processes, million tokens per second by the clock"] = round(_streamed(maker, len(packed.lengths), options.shards) / 1e6, 2)
        print(json.dumps(row), flush=True)


def _streamed(maker: ShardMaker, per_shard: int, shards: int) -> float:
    """Tokens per second by the clock from two processes, once the shards that they make ahead are used up: from then on the reader waits for each."""
    with StreamedWindows(maker, workers=2) as source:
        source.read(np.arange(1))  # the processes have compiled
        for first in range(0, 3 * per_shard, 512):
            source.read(np.arange(first, first + 512))
        started, read = time.perf_counter(), 0
        for first in range(3 * per_shard, (3 + shards) * per_shard, 512):
            read += int(source.read(np.arange(first, first + 512))[1].sum())
        return read / (time.perf_counter() - started)


def step(options: argparse.Namespace) -> None:
    row: dict[str, object] = {"what": "one training step", "model": f"GPT2-{options.layers}-{options.heads}, window {options.window}"}
    model = gpt2_rotary.build(ModelSettings(layers=options.layers, heads=options.heads), options.vocabulary, options.window, 0)
    network = Network(options.layers, int(model.config.hidden_size), model.num_parameters(), 0)
    gpt2_rotary.fuse_activations(model)
    loss = WindowLoss(model)
    ids = torch.randint(0, options.vocabulary, (options.rows, options.window))
    row |= {"counted over formula": round(operations(loss, ids) / formula(network, ids), 4)}
    row["numbers kept per layer, width and position"] = round(kept_numbers(loss, ids) / (network.layers * network.width * ids.numel()), 1)
    family = family_by_name("med")
    maker = ShardMaker(StreamSettings(alignment="best_fit", blocks_per_shard=1), family, TokenSettings(), load_world("igsm"), 0)
    made, lengths = maker.make(0)
    for whole in (False, True):
        shapes = set()
        for number in range(30):
            rows = np.arange(number * 50, number * 50 + 50) % len(lengths)
            labels = labels_of(made[rows], lengths[rows], None, None)
            shapes |= {tuple(one.shape) for one, _ in micro_batches(made[rows], labels, lengths[rows], 9, whole=whole)}
        row[f"shapes in 30 steps, {'compiled' if whole else 'not compiled'}"] = len(shapes)
    print(json.dumps(row), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = {"windows": windows, "step": step}
    parser.add_argument("part", choices=[*parts, "all"], nargs="?", default="all")
    parser.add_argument("--shards", type=int, default=8, help="shards that two processes make while they are timed")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--window", type=int, default=128)
    parser.add_argument("--rows", type=int, default=3)  # rows x window must not be the rows of the head, by which what the vocabulary keeps is told
    parser.add_argument("--vocabulary", type=int, default=509)
    options = parser.parse_args()
    for name, part in parts.items():
        if options.part in (name, "all"):
            part(options)


if __name__ == "__main__":
    main()
