"""Two routes to the same thing: from the generator's records, and from the text alone.

    python -m benchmarks.verification_identity render [--num 100000] [--first 0]
        render -> parse -> render is the identity on statements, question, solution and answer
    python -m benchmarks.verification_identity labels [--num 10000] [--first 0]
        every label of every task at every position, and every candidate set, on all parameters whose item the text names

``--num`` is per family, med and then hard (for ``render`` half of it each). ``--first`` is the first block of 500, so that a long run can be made in
parts.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from igsm_pipeline.problems import ProblemBatch, ProblemSetSettings, family_by_name, generate_block
from igsm_pipeline.text import parse_problem, parse_solution, render_answer, render_problem, render_question, render_sentences, render_solution
from igsm_pipeline.world import load_world
from tests.reference.label_routes import compare_labels

FAMILIES, BLOCK = ("med", "hard"), 500


def draw_block(family: str, block: int) -> ProblemBatch:
    settings = ProblemSetSettings(family=family_by_name(family), num_problems=BLOCK, block_size=BLOCK, split="all", stream="identity")
    return generate_block(settings, load_world("igsm"), block)


def compare_texts(batch: ProblemBatch) -> Counter[str]:
    """Problems that come back as they were, and those that do not."""
    counts: Counter[str] = Counter()
    for number, problem in enumerate(batch):
        statements, question, solution = render_problem(problem), render_question(problem), render_solution(problem)
        parsed = parse_problem(question + statements if number % 2 else statements + question, batch.world, batch.modulus)
        again = render_problem(parsed), render_question(parsed), render_sentences(parse_solution(solution)), render_answer(parsed)
        same = again == (statements, question, solution, render_answer(problem))
        counts["problems"] += 1
        counts["differ"] += not same
        if not same:
            print(f"differs: {statements}{question}{solution}", flush=True)
    return counts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("render", "labels"))
    parser.add_argument("--num", type=int)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    each = options.num // 2 if options.part == "render" and options.num else options.num or {"render": 50_000, "labels": 10_000}[options.part]
    started, wrong = time.process_time(), 0
    for family in FAMILIES:
        counts: Counter[str] = Counter()
        for block in range(options.first, options.first + -(-each // BLOCK)):
            batch = draw_block(family, block)
            counts += compare_texts(batch) if options.part == "render" else compare_labels(batch)
        print(
            f"{family}: " + ", ".join(f"{count:,} {name}" for name, count in counts.items()) + ("" if counts["differ"] else ", 0 differ"), flush=True
        )
        wrong += counts["differ"]
    print(f"{time.process_time() - started:.0f} s of processor time")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
