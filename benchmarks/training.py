"""Training and generation against plain baselines: ratios that one run measures, side by side.

    python benchmarks/training.py vocabulary    compact ids against GPT-2's 50,257 rows, one training step
    python benchmarks/training.py input         our windows against a tokenizer in the loader, both from the same problem kernels
    python benchmarks/training.py generation    our batched decoding against transformers' generate, prompt by prompt and batched

Every round measures each side once, one directly after the other, so that load on the machine meets both; a ratio is given as the median over
rounds with its extremes. The last line of each part is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import PreTrainedModel

from igsm_pipeline.model import gpt2_rotary
from igsm_pipeline.model.decoding import complete
from igsm_pipeline.model.device import pick_device
from igsm_pipeline.model.settings import ModelSettings
from igsm_pipeline.problems import family_by_name
from igsm_pipeline.problems.record import to_problem
from igsm_pipeline.text import document
from igsm_pipeline.tokens import TokenSettings, build_table, emit
from igsm_pipeline.tokens.tokenizer import build_tokenizer
from igsm_pipeline.training.batches import labels_of
from igsm_pipeline.training.processes import Ranks
from igsm_pipeline.training.settings import StreamSettings, TrainingSettings
from igsm_pipeline.training.stream import ShardMaker
from igsm_pipeline.training.trainer import Batch, Trainer
from igsm_pipeline.world import load_world

COMPACT, GPT2 = TokenSettings(vocab="compact"), TokenSettings(vocab="gpt2")
Side = Callable[[], int]
"""Does some work once and says how many tokens it was."""


def compare(title: str, sides: dict[str, Side], rounds: int) -> dict[str, object]:
    """Tokens per second of each side, and the ratio of the first to every other; printed and returned."""
    for side in sides.values():
        side()
    speeds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            started = time.perf_counter()
            tokens = side()
            speeds[name].append(tokens / (time.perf_counter() - started))
    ours = next(iter(sides))
    row: dict[str, object] = {"what": title, "rounds": rounds, "load": os.getloadavg()[0], "threads": torch.get_num_threads()}
    row["tokens_per_s"] = {name: round(statistics.median(values), 1) for name, values in speeds.items()}
    for name in list(sides)[1:]:
        ratios = [a / b for a, b in zip(speeds[ours], speeds[name], strict=True)]
        row[f"{ours} over {name}"] = [round(value, 2) for value in (statistics.median(ratios), min(ratios), max(ratios))]
        print(f"{title}: {ours} is {statistics.median(ratios):.2f} times as fast as {name} ({min(ratios):.2f} to {max(ratios):.2f}, n = {rounds})")
    print(json.dumps(row), flush=True)
    return row


def training_side(tokens: TokenSettings, options: argparse.Namespace) -> Side:
    """One optimizer step over windows of med problems."""
    world, family = load_world("igsm"), family_by_name("med")
    table = build_table(world, family.modulus, tokens)
    windows, lengths = ShardMaker(StreamSettings(blocks_per_shard=1, block_size=64), family, tokens, world, 0).make(0)
    settings = TrainingSettings(batch_windows=options.windows, precision=options.precision, compile=options.compile, device=options.device)
    model = gpt2_rotary.build(ModelSettings(layers=options.layers, heads=options.heads), table.size, 2048, 0, bos=table.bos, eos=table.eos)
    trainer = Trainer(model, settings, Ranks(0, 1, pick_device(options.device)))
    batch: Batch = (
        windows[: options.windows],
        labels_of(windows[: options.windows], lengths[: options.windows], None, None),
        lengths[: options.windows],
    )
    print(f"{tokens.vocab}: {table.size} rows, {model.num_parameters():,} parameters")
    return lambda: trainer.step(0, batch).tokens


def vocabulary(options: argparse.Namespace) -> None:
    sides = {"compact": training_side(COMPACT, options), "gpt2": training_side(GPT2, options)}
    compare(f"training step, GPT2-{options.layers}-{options.heads}, {options.windows} x 768 tokens, {options.precision}", sides, options.rounds)


def input_pipeline(options: argparse.Namespace) -> None:
    world, family = load_world("igsm"), family_by_name("med")
    maker = ShardMaker(StreamSettings(blocks_per_shard=1, block_size=512), family, GPT2, world, 0)
    table = maker.table
    tokenizer: Tokenizer = build_tokenizer(table)
    markers = ("<|problem|>", "<|solution|>", "<|answer|>", "<|endoftext|>")
    records = maker.blocks.make(0).records

    def plain_documents() -> list[str]:
        found = []
        for row in records:
            parts = document(to_problem(row, world, family.modulus), family.format)
            found.append("".join(marker + part for marker, part in zip(markers, (*parts, ""), strict=True)))
        return found

    def encode(documents: Sequence[str]) -> list[np.ndarray]:
        return [np.array(one.ids, np.uint32) for one in tokenizer.encode_batch(list(documents), add_special_tokens=False)]

    def with_tokenizer() -> int:
        maker.blocks.make(0)
        encoded = encode(plain_documents())
        return int(sum(len(ids) for ids in encoded))

    emitted = emit(maker.blocks.make(0), table, family.format)
    plain = encode(plain_documents())
    assert all(np.array_equal(emitted.document(index), ids) for index, ids in enumerate(plain)), "both sides must make the same tokens"
    texts = plain_documents()
    whole: dict[str, Side] = {"ours": lambda: int(maker.make(0)[1].sum()), "tokenizer in the loader": with_tokenizer}
    compare("med windows from nothing, one process", whole, options.rounds)
    tokens = int(sum(len(ids) for ids in plain))
    batch = maker.blocks.make(0)

    def by_emission() -> int:
        emit(batch, table, family.format)
        return tokens

    def by_tokenizer() -> int:
        encode(texts)
        return tokens

    compare("token ids alone, problems and texts at hand", {"emission": by_emission, "fast tokenizer": by_tokenizer}, options.rounds)


def generation(options: argparse.Namespace) -> None:
    world, family = load_world("igsm"), family_by_name("med")
    table = build_table(world, family.modulus, COMPACT)
    if options.checkpoint:
        model = gpt2_rotary.load(options.checkpoint, device=pick_device(options.device))
    else:
        shape = ModelSettings(layers=options.layers, heads=options.heads)
        model = gpt2_rotary.build(shape, table.size, 2048, 0, bos=table.bos, eos=table.eos).to(pick_device(options.device)).eval()
    maker = ShardMaker(StreamSettings(blocks_per_shard=1, block_size=options.prompts), family, COMPACT, world, 0)
    emitted = emit(maker.blocks.make(0), table, family.format)
    prompts = [emitted.prompt(index).astype(np.int64) for index in range(options.prompts)]
    limit, eos = options.max_tokens, table.eos

    def ours() -> int:
        return int(sum(len(ids) for ids in complete(model, prompts, max_tokens=limit, eos=eos).tokens))

    def one_by_one() -> int:
        return sum(_generate(model, [prompt], limit, eos) for prompt in prompts)

    def batched() -> int:
        return _generate(model, prompts, limit, eos)

    with torch.inference_mode():
        sides: dict[str, Side] = {"ours": ours, "generate, prompt by prompt": one_by_one, "generate, batched": batched}
        compare(f"greedy completions of {options.prompts} med prompts, at most {limit} tokens each", sides, options.rounds)


def _generate(model: PreTrainedModel, prompts: Sequence[np.ndarray], limit: int, eos: int) -> int:
    """transformers' own generate, prompts padded on the left; returns the new tokens up to each row's end."""
    longest = max(len(prompt) for prompt in prompts)
    ids = torch.tensor([[eos] * (longest - len(prompt)) + prompt.tolist() for prompt in prompts], device=model.device)
    mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=model.device)
    written = model.generate(ids, attention_mask=mask, max_new_tokens=limit, do_sample=False, eos_token_id=eos, pad_token_id=eos)[:, longest:]
    ends = [np.flatnonzero(row == eos) for row in written.cpu().numpy()]
    return sum(int(end[0]) + 1 if len(end) else written.shape[1] for end in ends)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = {"vocabulary": vocabulary, "input": input_pipeline, "generation": generation}
    parser.add_argument("part", choices=[*parts, "all"], nargs="?", default="all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--windows", type=int, default=2, help="windows of a training step")
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--max-tokens", type=int, default=96)
    parser.add_argument("--checkpoint", type=Path, help="decode with this med model (compact ids) instead of an untrained one")
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16", "fp16"])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    for name, part in parts.items():
        if options.part in (name, "all"):
            part(options)


if __name__ == "__main__":
    main()
