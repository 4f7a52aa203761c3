"""Rewards per second on one core: op 7 of mini, op 10 and 15 of med; eight completions per problem, as GRPO asks; and plain verification beside it.

    python -m benchmarks.reward_speed [--problems 256] [--group 8] [--rounds 10]

Processor time, the fastest of the rounds (with the median). Problems are given as texts, and read once per group. In "half wrong" a digit of every
second completion is another one. "a text each" has one completion per problem, so that reading the problem is the larger part; "records" has problems
that were not made from text.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import time
from collections.abc import Callable
from functools import partial

import igsm_pipeline as igsm
from igsm_pipeline.problems import family_by_name
from igsm_pipeline.problems.settings import FamilySettings
from igsm_pipeline.verification import reward, verify

GOAL = 20_000


def measure(run: Callable[[], object], num: int, rounds: int) -> tuple[float, float]:
    """Fastest and median rows per second of processor time."""
    rates = []
    for _ in range(rounds):
        started = time.process_time()
        run()
        rates.append(num / (time.process_time() - started))
    return max(rates), statistics.median(rates)


def with_wrong_digit(rng: random.Random, text: str) -> str:
    place = rng.choice([index for index, one in enumerate(text) if one.isdigit()])
    return f"{text[:place]}{(int(text[place]) + 1) % 5}{text[place + 1 :]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=256)
    parser.add_argument("--group", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    mini = FamilySettings.parse({"op_max": 6, "ip_max": 6, "modulus": 5, "format": "qp", "num_symbols": 10, "op_law": "uniform"}, "mini")
    for world, family, op in (("mini", mini, 7), ("igsm", family_by_name("med"), 10), ("igsm", family_by_name("med"), 15)):
        batch = igsm.generate(options.problems, family=family, world=world, op=op, seed=1)
        problems, documents = list(batch), [igsm.document(one, "qp") for one in batch]
        texts = [one.prompt for one in documents for _ in range(options.group)]
        records = [one for one in problems for _ in range(options.group)]
        right = [f"{one.solution}<|answer|>{one.answer}" for one in documents for _ in range(options.group)]
        rng = random.Random(0)
        wrong = [with_wrong_digit(rng, one) if number % 2 else one for number, one in enumerate(right)]
        kept: dict[str, object] = {"world": batch.world, "modulus": batch.modulus}
        pairs = [(one, text) for one, text in zip(problems, documents, strict=True) for _ in range(options.group)]
        plain = measure(partial(lambda pairs: [verify(one, it.solution, it.answer) for one, it in pairs], pairs), len(pairs), options.rounds)
        print(f"{world} op {op}: verify alone, problem known {plain[0]:>9,.0f}/s   median {plain[1]:>9,.0f}/s")
        few = slice(None, None, options.group)
        for kind in ("correct", "dense"):
            for name, asked, written in (
                ("right", texts, right),
                ("half wrong", texts, wrong),
                ("records", records, right),
                ("a text each", texts[few], right[few]),
            ):
                fast, median = measure(partial(reward, asked, written, kind=kind, **kept), len(asked), options.rounds)
                said = "reached" if fast >= GOAL else "not reached"
                ratio = f"{fast / plain[0]:.2f} of verify   n = {len(asked)}   {GOAL:,}/s {said}"
                print(f"  {kind:<8}{name:<12}{fast:>9,.0f}/s   median {median:>9,.0f}/s   {ratio}")
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
