"""Solutions verified per second on one core, through text and through token ids, at op 15.

    python -m benchmarks.verification_speed [--num 4096] [--rounds 20]

Processor time, the fastest of the rounds (with the median), right solutions of med problems. The text path is given the problem with its tables
made, as when one problem is judged again and again, and then the problem as text, each time anew; the token path reads records and keeps nothing
between rounds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from igsm_pipeline.problems import ProblemSetSettings, family_by_name, generate_block
from igsm_pipeline.text import parse_problem, render_answer, render_problem, render_question, render_solution
from igsm_pipeline.tokens import TokenSettings, build_table, emit
from igsm_pipeline.tokens.table import Ids
from igsm_pipeline.verification import verify
from igsm_pipeline.verification.token_path import TokenVerifier, joined
from igsm_pipeline.world import load_world


def measure(title: str, run: Callable[[], int], num: int, rounds: int) -> float:
    """Print and return solutions per second of processor time in the fastest round; ``run`` returns how many were correct, all of them."""
    assert run() == num
    rates = []
    for _ in range(rounds):
        started = time.process_time()
        run()
        rates.append(num / (time.process_time() - started))
    print(f"{title:<34}{max(rates):>12,.0f}/s   median {statistics.median(rates):>10,.0f}/s   n = {num:,} x {rounds}", flush=True)
    return max(rates)


def judge_all(verifier: TokenVerifier, ids: Ids, offsets: NDArray[np.int64]) -> int:
    """How many completions are correct; none may need text."""
    verdicts = verifier.judge(ids, offsets, np.ones(len(offsets) - 1, np.bool_))
    assert not verdicts.through_text.any()
    return int(verdicts.correct.sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    world, num = load_world("igsm"), options.num
    settings = ProblemSetSettings(family=family_by_name("med"), law="exact", op=15, num_problems=num, block_size=num, split="test")
    batch = generate_block(settings, world, 0)
    few = list(batch.take(slice(0, min(num, 256))))
    texts = [(render_problem(one) + render_question(one), render_solution(one), render_answer(one)) for one in few]
    text = measure(
        "text, problem known", lambda: sum(verify(one, it[1], it[2]).correct for one, it in zip(few, texts, strict=True)), len(few), options.rounds
    )
    measure(
        "text, problem parsed as well",
        lambda: sum(verify(parse_problem(it[0], world), it[1], it[2]).correct for it in texts),
        len(few),
        max(1, options.rounds // 5),
    )
    for tokens in ({"segmentation": "phrase"}, {}, {"vocab": "gpt2"}):
        table = build_table(world, batch.modulus, TokenSettings.model_validate(tokens))
        emitted = emit(batch, table, "pq")
        ids, offsets = joined([emitted.completion(row) for row in range(num)])
        title = f"ids, {table.settings.segmentation} {table.settings.vocab}, {len(ids) / num:.0f} each"

        fast = measure(title, partial(judge_all, TokenVerifier(batch, table), ids, offsets), num, options.rounds)
        print(f"{'':34}{fast / text:>12.1f} times the text path")
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
