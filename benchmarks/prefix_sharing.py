"""A training step of a V-probe with shared prefixes against one sequence per query: the same queries, probe and model, in one run.

    python benchmarks/prefix_sharing.py [--family med] [--problems 4] [--layers 4] [--heads 4] [--rounds 5] [--task value]

The separate side is no straw man: its sequences are sorted into one padded batch, attend causally without a mask, and are read at their ends only.
Every round measures each side once, one directly after the other, so that load on the machine meets both. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from igsm_pipeline.activations.forward import SequenceBatch, freeze
from igsm_pipeline.model import gpt2_rotary
from igsm_pipeline.model.device import pick_device
from igsm_pipeline.model.settings import ModelSettings
from igsm_pipeline.probes.v_probe import VProbe, fit_sizes
from igsm_pipeline.problems import FamilySettings, ProblemSetSettings, family_by_name, generate_block
from igsm_pipeline.queries.documents import GoldDocuments
from igsm_pipeline.queries.draw import draw_queries
from igsm_pipeline.queries.sequences import QueryTokens
from igsm_pipeline.queries.settings import QuerySettings
from igsm_pipeline.queries.tasks import TASKS
from igsm_pipeline.tokens import TokenSettings, build_table
from igsm_pipeline.world import load_world

MINI = FamilySettings(op_max=3, ip_max=3, modulus=5, op_law="uniform", split_by="problem")


def separate_logits(probe: VProbe, model: PreTrainedModel, ids: Tensor, ends: Tensor) -> Tensor:
    """Logits of right-padded sequences of one query each, (num_queries, num_classes); padding comes after what is read and so is never seen."""
    embedded = model.get_input_embeddings()(ids) + nn.functional.embedding(ids, probe.rows) @ probe.directions
    states = model.base_model(inputs_embeds=embedded, use_cache=False).last_hidden_state
    return nn.functional.linear(states[torch.arange(len(ids), device=ids.device), ends], probe.weight, probe.bias)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", default="med", choices=("mini", "med", "hard"))
    parser.add_argument("--task", default="value", choices=TASKS)
    parser.add_argument("--problems", type=int, default=4, help="problems per step")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    device = pick_device(options.device)
    mini = options.family == "mini"
    family = MINI if mini else family_by_name(options.family)
    world = load_world("mini" if mini else "igsm")
    table = build_table(world, family.modulus, TokenSettings(segmentation="phrase" if mini else "bpe"))
    batch = generate_block(
        ProblemSetSettings(family=family, num_problems=options.problems, block_size=options.problems, seed=1, split="all"), world, 0
    )
    (queries,) = draw_queries(batch, QuerySettings.parse({"family": family, "task": options.task}, "benchmark"))
    tokens = QueryTokens(batch, queries, GoldDocuments(batch, table, family.format), table)
    model = freeze(gpt2_rotary.build(ModelSettings(layers=options.layers, heads=options.heads), table.size, 2048, 0)).to(device)
    probe = VProbe(*fit_sizes(model), TASKS[options.task].classes(family.modulus), 8, seed=0).to(device)
    labels = torch.from_numpy(tokens.label).to(device)
    everything = np.arange(len(tokens))
    packed = tokens.pack(everything)
    alone = [tokens.pack(everything[query : query + 1]).ids[0] for query in everything]
    ids = np.zeros((len(alone), max(map(len, alone))), np.int64)
    for row, sequence in enumerate(alone):
        ids[row, : len(sequence)] = sequence
    shared, plain = SequenceBatch.of(packed, device), torch.from_numpy(ids).to(device)
    ends = torch.tensor([len(sequence) - 1 for sequence in alone], device=device)
    sides: dict[str, Callable[[], Tensor]] = {
        "shared": lambda: probe(model, shared),
        "separate": lambda: separate_logits(probe, model, plain, ends),
    }
    gap = float((sides["shared"]() - sides["separate"]()).detach().abs().max())

    def step(logits: Callable[[], Tensor]) -> tuple[float, float]:
        started, processor = time.perf_counter(), time.process_time()
        probe.zero_grad(set_to_none=True)
        torch.autograd.backward(nn.functional.cross_entropy(logits(), labels))
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started, time.process_time() - processor

    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for round_ in range(options.rounds + 1):
        for name, side in sides.items():
            took = step(side)
            if round_:  # the first warms up
                seconds[name].append(took)
    real = {"shared": int((packed.branch != -2).sum()), "separate": sum(map(len, alone))}
    medians = {name: [statistics.median(one[k] for one in values) for k in (0, 1)] for name, values in seconds.items()}
    ratios = [plain_[1] / ours[1] for ours, plain_ in zip(seconds["shared"], seconds["separate"], strict=True)]
    print(
        json.dumps(
            {
                "what": f"V-probe training step, {options.family}, {options.task}, {options.layers} layers x {64 * options.heads}",
                "queries": len(tokens),
                "problems": options.problems,
                "tokens_per_query": {name: round(number / len(tokens), 1) for name, number in real.items()},
                "seconds_per_step": {name: round(values[0], 4) for name, values in medians.items()},
                "processor_seconds_per_step": {name: round(values[1], 4) for name, values in medians.items()},
                "ratio_tokens": round(real["separate"] / real["shared"], 2),
                "ratio_seconds": round(medians["separate"][0] / medians["shared"][0], 2),
                "ratio_processor_seconds": [round(one, 2) for one in (statistics.median(ratios), min(ratios), max(ratios))],
                "largest_gap_of_logits": gap,
                "rounds": options.rounds,
                "load": os.getloadavg()[0],
                "threads": torch.get_num_threads(),
                "device": torch.cuda.get_device_name() if device.type == "cuda" else "CPU",
            }
        )
    )


if __name__ == "__main__":
    main()
