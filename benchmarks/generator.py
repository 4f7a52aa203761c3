"""The generator by stage: problems/s and tokens/s of one core, where the time goes, compile time, and kernels against the slow reference.

    python benchmarks/generator.py speed      each family and op by stage, in processor time, so that load on the machine counts little
    python benchmarks/generator.py compile    seconds until the first tokens with no cached kernels, and with cached ones
    python benchmarks/generator.py reference  --problems 10000: kernel == slow reference, problem by problem, med, hard and a small family

Every line is one JSON object. ``speed`` takes each stage as the least of some rounds; stages are timed one after the other on the same problems.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from igsm_pipeline.problems import BlockMaker, FamilySettings, ProblemSetSettings, family_by_name
from igsm_pipeline.problems.files import to_table, write_parquet
from igsm_pipeline.problems.kernel import Int, kernel
from igsm_pipeline.problems.law import blocks as block_kernels
from igsm_pipeline.problems.law.details import complete_solution, complete_text
from igsm_pipeline.problems.law.proposal import OP, propose
from igsm_pipeline.problems.law.random import below, start
from igsm_pipeline.problems.law.split import template_bin
from igsm_pipeline.problems.law.unnecessary import draw_unnecessary
from igsm_pipeline.problems.record import RECORD, Records
from igsm_pipeline.tokens import TokenSettings, build_table, emit
from igsm_pipeline.tokens.shards import write_shard
from igsm_pipeline.tokens.windows import pack
from igsm_pipeline.world import load_world

ROOT = Path(__file__).parents[1]
CASES: dict[str, tuple[str, int | None]] = {
    "med range": ("med", None), "med op=15": ("med", 15), "med op=23": ("med", 23), "hard range": ("hard", None), "hard op=32": ("hard", 32),
}  # fmt: skip
PARTS = ("graph and order of what is needed", "the rest of the graph", "expressions, steps, template, hash", "names, symbols, text order, values")


@kernel
def _draw_parts(last: Int, count: Int, rules: block_kernels.Rules, scratch: block_kernels.Scratch, records: Records) -> Int:
    """Draw ``count`` proposals as a block does, up to the part ``last``; returns how many were within the symbols."""
    work, state, rec, drawn = scratch.work, scratch.state, records[0], 0
    for draw in range(count):
        start(state, rules.key, draw)
        s = rules.exact_op
        if s == 0:
            s = 1 + min(below(state, rules.op_max), below(state, rules.op_max))
        if not propose(state, work, s, rules.ip_max) or work.facts[OP] > rules.num_symbols:
            continue
        drawn += 1
        if last > 0:
            draw_unnecessary(state, work)
        if last > 1:
            complete_solution(state, work, scratch.steps, rec, rules.modulus)
            rec["template_bin"] = template_bin(rec, scratch.steps, scratch.hashing)
        if last > 2:
            complete_text(state, work, rec, rules.shape, rules.modulus, rules.num_symbols)
    return drawn


def least_seconds(work: Callable[[], object], rounds: int) -> float:
    """The least processor time of some rounds; the first, which may compile, is not counted."""
    work()
    seconds = []
    for _ in range(rounds):
        begun = time.process_time()
        work()
        seconds.append(time.process_time() - begun)
    return min(seconds)


def measure_parts(maker: BlockMaker, rounds: int, count: int = 4096) -> dict[str, float]:
    """Microseconds per proposal of each part of the block kernel, by differences."""
    rules, records = maker._rules(0), np.zeros(1, RECORD)
    upto = [least_seconds(lambda last=last: _draw_parts(last, count, rules, maker._scratch, records), rounds) for last in range(4)]  # type: ignore[misc]
    return {part: round(1e6 * (seconds - before) / count, 2) for part, seconds, before in zip(PARTS, upto, [0.0, *upto], strict=False)}


def measure_case(name: str, vocab: str, rounds: int) -> dict[str, object]:
    """One family and law: microseconds per problem of each stage, and what they come to."""
    family_name, op = CASES[name]
    family, world, window = family_by_name(family_name), load_world("igsm"), 768 if family_name == "med" else 1024
    table = build_table(world, family.modulus, TokenSettings.model_validate({"vocab": vocab}))
    settings = ProblemSetSettings(family=family, num_problems=4096, seed=1, law="range" if op is None else "exact", op=op)
    maker = BlockMaker(settings, world)
    batch = maker.make(0)
    emitted = emit(batch, table, family.format)
    packed = pack(emitted, window, "aligned")
    with tempfile.TemporaryDirectory() as folder:
        problems, shard = Path(folder, "problems.parquet"), Path(folder, "shard.parquet")
        seconds = {
            "law, names, symbols, hash": least_seconds(lambda: maker.make(0), rounds),
            "emission": least_seconds(lambda: emit(batch, table, family.format), rounds),
            "windows": least_seconds(lambda: pack(emitted, window, "aligned"), rounds),
            "shard writing": least_seconds(lambda: write_shard(packed, batch.records["op"], table.size, shard), rounds),
            "problem file writing": least_seconds(lambda: write_parquet(to_table(batch.records), problems), rounds),
        }
        sizes = {"shard": shard.stat().st_size, "problem file": problems.stat().st_size}
    tokens, made = len(emitted.ids), len(batch)
    with_tokens = seconds["law, names, symbols, hash"] + seconds["emission"]
    return {
        "case": name,
        "vocab": vocab,
        "problems": made,
        "rounds": rounds,
        "tokens_per_problem": round(tokens / made, 1),
        "proposals_per_problem": round((int(batch.records["draw"].max()) + 1) / made, 2),
        "us_per_problem": {stage: round(1e6 * value / made, 2) for stage, value in seconds.items()},
        "us_per_proposal": measure_parts(maker, rounds),
        "problems_per_s": round(made / with_tokens),
        "million_tokens_per_s": round(tokens / with_tokens / 1e6, 2),
        "million_tokens_per_s_to_shards": round(tokens / (sum(seconds.values()) - seconds["problem file writing"]) / 1e6, 2),
        "bytes_per_token": round(sizes["shard"] / tokens, 3),
        "bytes_per_problem_record": round(sizes["problem file"] / made),
        "share_dropped": round(packed.dropped / made, 4),
        "load": round(os.getloadavg()[0], 1),
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


FIRST_TOKENS = """
import time
begun, used = time.perf_counter(), time.process_time()
from igsm_pipeline.problems import ProblemSetSettings, family_by_name, generate_block
from igsm_pipeline.tokens import TokenSettings, build_table, emit
from igsm_pipeline.world import load_world
world, family = load_world("igsm"), family_by_name("med")
batch = generate_block(ProblemSetSettings(family=family, num_problems=64, block_size=64), world, 0)
emit(batch, build_table(world, 23, TokenSettings()), "pq")
print(time.perf_counter() - begun, time.process_time() - used)
"""


def measure_compiling() -> dict[str, object]:
    """Seconds (of the clock, of the processor) from a bare interpreter to the first 64 problems and their tokens, kernels cold and cached."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder, "PYTHONPATH": str(ROOT)}
        for state in ("cold", "cached"):
            done = subprocess.run([sys.executable, "-c", FIRST_TOKENS], env=environment, capture_output=True, text=True, check=True)
            clock, processor = map(float, done.stdout.split())
            found[state] = {"clock_s": round(clock, 1), "processor_s": round(processor, 1)}
    return {"first tokens": found, "load": round(os.getloadavg()[0], 1)}


def compare_with_reference(problems: int) -> bool:
    """Kernel and slow reference on at least ``problems`` problems per family, in blocks of at most 500; one line per family, True if none differs."""
    sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "problems")]
    from reference.naive_blocks import naive_block  # noqa: PLC0415
    from test_problems_law import differences  # noqa: PLC0415

    families = {
        "med": family_by_name("med"), "hard": family_by_name("hard"),
        "small": FamilySettings(op_max=3, ip_max=5, modulus=5, num_symbols=5, op_law="uniform", split_by="problem"),
    }  # fmt: skip
    world, equal = load_world("igsm"), True
    for name, family in families.items():
        size = min(500, problems)
        begun, wrong, numbers = time.process_time(), list[str](), range(-(-problems // size))
        settings = ProblemSetSettings(family=family, num_problems=size * len(numbers), block_size=size, seed=2)
        maker = BlockMaker(settings, world)
        for number in numbers:
            wrong += [f"block {number} {what}" for what in differences(maker.make(number), naive_block(settings, world, number))]
        row = {
            "family": name,
            "seed": 2,
            "problems": size * len(numbers),
            "differences": wrong[:10],
            "processor_s": round(time.process_time() - begun),
        }
        print(json.dumps(row), flush=True)
        equal = equal and not wrong
    return equal


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "compile", "reference"))
    parser.add_argument("--case", choices=CASES, action="append", help="speed: only this one")
    parser.add_argument("--vocab", choices=("compact", "gpt2"), default="compact")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--problems", type=int, default=10_000, help="reference: per family")
    options = parser.parse_args()
    if options.what == "speed":
        for name in options.case or CASES:
            print(json.dumps(measure_case(name, options.vocab, options.rounds)), flush=True)
    elif options.what == "compile":
        print(json.dumps(measure_compiling()))
    elif not compare_with_reference(options.problems):
        sys.exit(1)


if __name__ == "__main__":
    main()
