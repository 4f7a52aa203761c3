"""Anything gets a verdict: random and damaged texts and token ids through every reader; only the errors that they document may come out.

    python -m benchmarks.verification_fuzz [--cases 1000000] [--seed 0] [--first 0]

Of every problem text, the one-pass reader (``quick_tables``) must say what the careful parser says, or leave it to that; and a verdict by its tables
must be that by the problem. Where the two part, the case fails. Rows of odd cells go through the reader of foreign rows.

Case n of a seed is always the same, so a long run can be made in parts (``--first``) and a failure, which is printed, made again alone.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import time
from collections import Counter

import numpy as np

from igsm_pipeline.errors import BadProblem
from igsm_pipeline.problems import ProblemBatch, ProblemSetSettings, family_by_name, generate_block
from igsm_pipeline.problems.settings import RetrySettings
from igsm_pipeline.text import BadSolution, parse_problem, parse_solution, render_problem, render_question, render_solution
from igsm_pipeline.tokens import TokenSettings, build_table, emit
from igsm_pipeline.tokens.retries import with_retries
from igsm_pipeline.verification import verify
from igsm_pipeline.verification.quick_problem import quick_tables
from igsm_pipeline.verification.rows.columns import Columns
from igsm_pipeline.verification.rows.judging import Judging, Refused
from igsm_pipeline.verification.token_path import TokenVerifier, joined
from igsm_pipeline.verification.verifier import verify_by
from igsm_pipeline.world import load_world
from tests.reference.table_comparison import check_same

ATOMS = (
    " Define ",
    " as ",
    "<|back|>",
    " as<|back|>. Define ",
    "; ",
    "so ",
    " = ",
    " + ",
    " - ",
    " * ",
    ".",
    " ",
    "'s ",
    "a",
    "b",
    "Z",
    "0",
    "7",
    "22",
    "23",
    "007",
    "9" * 40,
    "\n",
    "é",
    "\x00",
)
PHRASES = (
    " The number of each ",
    " equals ",
    "each ",
    " and each ",
    ", each ",
    "the sum of ",
    "the difference of ",
    " more than ",
    ". ",
    "?",
    " How many ",
)
ODD_CELLS = (
    None,
    "",
    " ",
    7,
    7.0,
    float("nan"),
    float("inf"),
    -1,
    10**40,
    True,
    b"\xff",
    [],
    [1],
    {},
    {"a": {}},
    "#### 7",
    "\\boxed{7}",
    "7.",
    "seven",
    "\ud800",
    "Answer: 7.",
)
SPELLINGS = (
    str.strip,
    lambda text: text.replace("'", "’"),
    lambda text: text.replace(" ", "\u00a0"),
    lambda text: text.replace(". ", ".\r\n"),
    lambda text: text + "\n\nAnswer: 7.",
    lambda text: "\ufeff" + text + "<|endoftext|>",
    lambda text: text.translate({48 + digit: 0xFF10 + digit for digit in range(10)}),
    lambda text: text.encode(),
)
BLOCK = 1000


class Fuzzer:
    """Draws cases and puts them through the readers."""

    def __init__(self, seed: int) -> None:
        self.seed, self.world = seed, load_world("igsm")
        settings = ProblemSetSettings(family=family_by_name("med"), num_problems=64, block_size=64, split="test")
        self.batch: ProblemBatch = generate_block(settings, self.world, 0)
        self.problems = list(self.batch)
        self.solutions = [render_solution(one) for one in self.problems]
        self.texts = [render_problem(one) + render_question(one) for one in self.problems]
        self.names = [one.name(each) for one in self.problems for each in one.instances]
        tables = [build_table(self.world, 23, TokenSettings.model_validate(one)) for one in ({"segmentation": "phrase", "back": True}, {})]
        self.judgings = (Judging(), Judging(exact=True), Judging(strict=False))
        retries = (RetrySettings(rate=0.3), RetrySettings())  # the first table has the token that takes back
        self.tokens = [
            (TokenVerifier(self.batch, table), with_retries(emit(self.batch, table, "pq"), self.batch, table, drawn))
            for table, drawn in zip(tables, retries, strict=True)
        ]

    def draw_text(self, rng: random.Random, of: list[str]) -> str | bytes:
        """Bytes, characters, pieces of the language, or a right text with some changes."""
        kind = rng.randrange(8)
        if kind == 0:
            return rng.randbytes(rng.randrange(200))
        if kind == 1:
            return "".join(
                chr(rng.choice((rng.randrange(32, 127), rng.randrange(0xD800), rng.randrange(0xE000, 0x110000)))) for _ in range(rng.randrange(40))
            )
        if kind == 2:
            return "".join(rng.choice(rng.choice((ATOMS, PHRASES, self.names))) for _ in range(rng.randrange(40)))
        text = rng.choice(of)
        for _ in range(rng.choice((0, 1, 1, 2, 5))):
            start = rng.randrange(len(text) + 1)
            end = min(len(text), start + rng.choice((0, 0, 1, 1, 3, 30)))
            text = text[:start] + rng.choice((*ATOMS, "", text[start : start + 9], rng.choice(self.names))) + text[end:]
        return text.encode() if kind == 3 else text

    def run_text(self, case: int) -> str:
        """Put case ``case`` through the parsers and both strictnesses; returns the kind of its verdict."""
        rng = random.Random(f"{self.seed} {case}")
        if case % 4 == 0:
            return self.run_problem(rng)
        if case % 8 == 1:
            return self.run_row(rng)
        number = rng.randrange(len(self.problems))
        text = self.draw_text(rng, [self.solutions[number]] if rng.random() < 0.9 else self.solutions)
        with contextlib.suppress(BadSolution):
            parse_solution(text)
        given = rng.choice((None, None, " 7", "x", b"\xff", 3, self.draw_text(rng, self.solutions)))
        verdict = verify(self.problems[number], text, given, strict=rng.random() < 0.7, finished=rng.random() < 0.7)
        return verdict.error or "correct"

    def run_problem(self, rng: random.Random) -> str:
        """Put a problem's text through both parsers and compare what they say."""
        number = rng.randrange(len(self.problems))
        text = self.draw_text(rng, [self.texts[number]])
        quick = quick_tables(text, self.world, 23) if isinstance(text, str) else None
        try:
            problem = parse_problem(text, self.world)
        except BadProblem:
            assert quick is None, f"the quick reader takes what the careful one refuses: {text!r}"
            return "no problem"
        solution = rng.choice((self.solutions[number], rng.choice(self.solutions), self.draw_text(rng, [self.solutions[number]])))
        verdict = verify(problem, solution)
        if quick is None:
            return "a problem, read with care"
        check_same(quick, problem, self.names)
        assert verify_by(quick, solution) == verdict, f"two verdicts on one solution: {text!r} {solution!r}"
        return "a problem, read both ways"

    def run_row(self, rng: random.Random) -> str:
        """Put a row of right, damaged and odd cells through the reader of foreign rows, spelt and exact."""
        number = rng.randrange(len(self.problems))
        cells = {
            "problem": render_problem(self.problems[number]),
            "question": render_question(self.problems[number]),
            "solution": self.solutions[number],
        }
        row: dict[str, object] = {
            key: rng.choice((cell, cell, cell, rng.choice(SPELLINGS)(cell), rng.choice(SPELLINGS)(cell), self.draw_text(rng, [cell])))
            for key, cell in cells.items()
        }
        if rng.random() < 0.5:
            row[rng.choice(("answer", "modulus", "world", "messages", rng.choice(list(cells))))] = rng.choice(ODD_CELLS)
        said = [judging.judge(1, row, Columns({})) for judging in self.judgings]
        return "a row, " + ("refused" if isinstance(said[0], Refused) else "right" if said[0].verdict.correct else "wrong")

    def run_tokens(self, first: int, count: int) -> Counter[str]:
        """Put ``count`` cases through the token path; returns the kinds of their verdicts."""
        rng = np.random.default_rng([self.seed, first])
        verifier, emitted = self.tokens[first // BLOCK % 2]
        rows, completions = rng.integers(len(self.batch), size=count), []
        for row in rows.tolist():
            ids = emitted.completion(row if rng.random() < 0.9 else 0).copy()
            for _ in range(rng.integers(4)):
                place = rng.integers(len(ids))
                ids[place] = rng.integers(verifier.table.size) if rng.random() < 0.5 else ids[rng.integers(len(ids))]
            start = rng.integers(len(ids)) if rng.random() < 0.1 else 0
            completions.append(ids[start : rng.integers(start, len(ids) + 1) if rng.random() < 0.2 else len(ids)])
        verdicts = verifier.judge(*joined(completions), rng.random(count) < 0.8, rows)
        return Counter(verdicts[index].error or "correct" for index in range(count))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case, a multiple of 1,000")
    options = parser.parse_args()
    fuzzer, kinds, failures, started = Fuzzer(options.seed), Counter[str](), 0, time.process_time()
    for first in range(options.first, options.first + options.cases, BLOCK):
        try:
            if first // BLOCK % 5 == 4:
                kinds.update(fuzzer.run_tokens(first, BLOCK))
                continue
            for case in range(first, first + BLOCK):
                kinds[fuzzer.run_text(case)] += 1
        except Exception as error:
            failures += 1
            print(f"cases {first} to {first + BLOCK - 1} of seed {options.seed}: {type(error).__name__}: {error}", flush=True)
        if first % 100_000 == 0:
            print(f"{first:,}", file=sys.stderr, flush=True)
    for kind, count in kinds.most_common():
        print(f"{kind:<20}{count:>10,}")
    print(f"{kinds.total():,} cases of seed {options.seed}, {failures} exceptions, {time.process_time() - started:.0f} s of processor time")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
