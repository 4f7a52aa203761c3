"""Retry data against what is slow and independent: texts, three verifiers, and the definition of what may be taken back.

    python -m benchmarks.retries [--num 10000] [--rate 0.5] [--seed 0]
        problems of med with retries of each kind; a solution differs if, retries read out, it is not the one without them; if one of the three
        verifiers (token ids, text, the slow reference) does not judge it right or counts other retries; or if something is taken back that its kind
        does not allow
    python -m benchmarks.retries --growth MEMBER [--num 4000]
        by how much retries make the training documents of a member longer

The last line is the processor time.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np

from igsm_pipeline.experiments import find_member
from igsm_pipeline.problems import ProblemBatch, ProblemSetSettings, family_by_name, generate_block
from igsm_pipeline.problems.law.retries import KINDS, draw_retries
from igsm_pipeline.problems.problem import Parameter, Problem
from igsm_pipeline.problems.record import parameter_of
from igsm_pipeline.problems.settings import RetrySettings
from igsm_pipeline.queries.labels import label_query, list_candidates
from igsm_pipeline.text import render_answer, render_solution
from igsm_pipeline.text.retries import without_retries
from igsm_pipeline.tokens import TokenSettings, TokenTable, build_table, emit
from igsm_pipeline.tokens.retries import insert, with_retries
from igsm_pipeline.verification import verify
from igsm_pipeline.verification.token_path import TokenVerifier
from igsm_pipeline.world import load_world
from tests.reference import slow_verifier

BLOCK = 500
GROWN = (("retry", 0.2), ("retry", 0.5), ("weak", 0.5), ("miss", 0.5))


def allowed(problem: Problem, kind: str, retries: list[tuple[int, Parameter]]) -> bool:
    """Whether the definition of the kind allows every one of a problem's retries."""
    existing, named, order = set(list_candidates(problem, "existing")), set(list_candidates(problem, "text")), problem.order
    taken = set[Parameter]()
    for sentence, wrong in retries:
        known = set(order[:sentence])
        if kind == "retry":
            right = wrong in existing - known and not label_query(problem, "can_next", sentence, wrong)
        else:
            right = wrong in (set(order[sentence + 1 :]) if kind == "weak" else named - known - taken)
        if not right:
            return False
        taken.add(wrong)
    return True


def compare(batch: ProblemBatch, table: TokenTable, settings: RetrySettings) -> tuple[int, int]:
    """Retries of a batch, and how many of its solutions differ."""
    drawn = draw_retries(batch.records, settings)
    emitted = insert(emit(batch, table, "pq"), batch, table, drawn)
    completions = [emitted.completion(row) for row in range(len(batch))]
    offsets = np.cumsum([0, *map(len, completions)])
    judged = TokenVerifier(batch, table).judge(np.concatenate(completions), offsets, np.ones(len(batch), np.bool_))
    differ = 0
    for row, problem in enumerate(batch):
        mine = [(sentence, parameter_of(batch.records[row], one)) for sentence, one in drawn.of(row)]
        solution, answer = table.decode_completion(completions[row])
        verdict = verify(problem, solution, answer)
        same = (
            without_retries(solution) == (render_solution(problem), tuple(problem.name(one) for _, one in mine))
            and answer == render_answer(problem)
            and verdict.correct
            and verdict.retries == len(mine) == judged.retries[row]
            and bool(judged.correct[row])
            and not judged.through_text[row]
            and slow_verifier.judge(problem, solution, answer) == (None, None, None)
            and allowed(problem, settings.kind, mine)
        )
        differ += not same
        if not same:
            print(f"differs ({settings.kind}): {solution}", flush=True)
    return len(drawn), differ


def growth(name: str, num: int, seed: int) -> None:
    """Print by how much the documents of a member's family grow."""
    settings, world = find_member(name).settings, find_member(name).settings.world.load()
    asked = ProblemSetSettings(family=settings.family, num_problems=num, block_size=num, split="train", seed=seed)
    batch = generate_block(asked, world, 0)
    table = build_table(world, settings.family.modulus, settings.tokens.model_copy(update={"back": True}))
    plain = emit(batch, table, settings.family.format)
    for kind, rate in GROWN:
        grown = with_retries(plain, batch, table, RetrySettings(kind=kind, rate=rate, seed=seed))
        print(f"{name}, {kind} {rate}: {num:,} documents, tokens {100 * (len(grown.ids) / len(plain.ids) - 1):+.1f} %", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num", type=int)
    parser.add_argument("--rate", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--growth", metavar="MEMBER")
    options = parser.parse_args()
    started, wrong = time.process_time(), 0
    if options.growth:
        growth(options.growth, options.num or 4000, options.seed)
    else:
        family, world = family_by_name("med"), load_world("igsm")
        table = build_table(world, family.modulus, TokenSettings(back=True))
        for kind in KINDS:
            num, retries, differ = options.num or 10_000, 0, 0
            for block in range(-(-num // BLOCK)):
                size = min(BLOCK, num - block * BLOCK)
                asked = ProblemSetSettings(family=family, num_problems=num, block_size=BLOCK, seed=options.seed)
                batch = generate_block(asked, world, block)
                found = compare(
                    ProblemBatch(batch.records[:size], world, batch.modulus), table, RetrySettings(kind=kind, rate=options.rate, seed=options.seed)
                )
                retries, differ = retries + found[0], differ + found[1]
            print(f"{kind} {num:,} solutions, {retries:,} retries, {differ} differences", flush=True)
            wrong += differ
    print(f"{time.process_time() - started:.0f} s of processor time")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
