"""The verdicts on damaged solutions: kind of damage by verdict given, and how often a slow second verifier says the same.

    python -m benchmarks.verification_damage [--cases 500] [--seed 0]

Problems are med and hard ones in turn. "agree" counts the cases in which error, sentence, parameter and number of unnecessary parameters are those
of the slow verifier (``tests/reference/slow_verifier.py``); the command fails where one differs.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter

from igsm_pipeline.problems import ProblemSetSettings, family_by_name, generate_block
from igsm_pipeline.problems.problem import Problem
from igsm_pipeline.verification import Error, verify
from igsm_pipeline.world import load_world
from tests.reference.plain_text import answer, solution
from tests.reference.slow_verifier import count_unnecessary, judge
from tests.reference.solution_damage import DAMAGES, Damage

CORRECT = "correct"


def draw_problems(family: str, count: int, seed: int) -> list[Problem]:
    settings = ProblemSetSettings(family=family_by_name(family), num_problems=count, block_size=count, split="test", seed=seed)
    return list(generate_block(settings, load_world("igsm"), 0))


def judge_damage(damage: Damage, problems: list[Problem], cases: int, seed: int) -> tuple[Counter[str], int, int]:
    """(verdict -> cases, cases in which both verifiers agree, cases whose text the damage left as it was)."""
    rng = random.Random(f"{seed} {damage.__name__}")
    verdicts: Counter[str] = Counter()
    agree = same = 0
    for case in range(cases):
        problem = problems[case % len(problems)]
        right = solution(problem)
        text = damage(rng, problem, right)
        cut = damage.__name__ == "early_end" and text != right
        given = None if cut else answer(problem)
        verdict = verify(problem, text, given, finished=not cut)
        expected = (*judge(problem, text, given, not cut), count_unnecessary(problem, text))
        agree += (verdict.error, verdict.sentence, verdict.parameter, verdict.unnecessary_parameters) == expected
        same += text == right
        verdicts[verdict.error or CORRECT] += 1
    return verdicts, agree, same


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=500, help="of each kind of damage")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    half = min(256, options.cases)
    problems = [one for pair in zip(*(draw_problems(family, half, options.seed) for family in ("med", "hard")), strict=True) for one in pair]
    columns = [CORRECT, *Error]
    print(f"| damage | {' | '.join(column.replace('_', ' ') for column in columns)} | unchanged | agree |")
    print(f"|---|{'---:|' * (len(columns) + 2)}")
    disagreements = 0
    for damage in DAMAGES:
        verdicts, agree, same = judge_damage(damage, problems, options.cases, options.seed)
        cells = [str(verdicts[column] or "") for column in columns]
        print(f"| {damage.__name__.replace('_', ' ')} | {' | '.join(cells)} | {same or ''} | {agree}/{options.cases} |", flush=True)
        disagreements += options.cases - agree
    print(f"\n{len(DAMAGES) * options.cases:,} cases, {disagreements} disagreements")
    return 1 if disagreements else 0


if __name__ == "__main__":
    sys.exit(main())
