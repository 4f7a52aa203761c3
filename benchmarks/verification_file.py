"""A file of solutions from elsewhere for `igsm verify`: right, redundant and damaged ones, and five rows that are none.

    python -m benchmarks.verification_file OUT [--num 10000] [--seed 0]
    igsm verify OUT

OUT ends in .jsonl or .parquet. The five stand at rows that the command prints.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from igsm_pipeline.problems import ProblemSetSettings, family_by_name, generate_block
from igsm_pipeline.text import render_answer, render_problem, render_question
from igsm_pipeline.world import load_world
from tests.reference.plain_text import solution
from tests.reference.solution_damage import DAMAGES, redundant

Row = dict[str, str | None]


def draw_rows(num: int, seed: int) -> list[Row]:
    """Half right, a tenth redundant, the rest with one of all kinds of damage."""
    rng = random.Random(seed)
    settings = ProblemSetSettings(family=family_by_name("med"), num_problems=num, block_size=min(num, 4096), split="test", seed=seed)
    rows: list[Row] = []
    block = 0
    while len(rows) < num:
        for problem in generate_block(settings, load_world("igsm"), block):
            text, kind = solution(problem), rng.random()
            if kind > 0.5:
                text = (redundant if kind < 0.6 else rng.choice(DAMAGES))(rng, problem, text)
            rows.append(
                {"problem": render_problem(problem), "question": render_question(problem), "solution": text, "answer": render_answer(problem)}
            )
        block += 1
    return rows[:num]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--num", type=int, default=10_000, help="rows, the five among them")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rows = draw_rows(options.num, options.seed)
    places = sorted(random.Random(options.seed).sample(range(options.num), 5))
    broken: list[Row] = [
        {"problem": "Once upon a time."},
        {**rows[places[1]], "solution": None},
        {**rows[places[2]], "question": " How many moons does it have?"},
        {**rows[places[3]], "problem": (rows[places[3]]["problem"] or "").replace("each", "every")},
        {},
    ]
    for place, row in zip(places, broken, strict=True):
        rows[place] = row
    if options.out.suffix == ".parquet":
        pq.write_table(
            pa.Table.from_pylist(rows, pa.schema([(name, pa.string()) for name in ("problem", "question", "solution", "answer")])), options.out
        )
    else:
        lines = [json.dumps(row) for row in rows]
        lines[places[4]] = lines[places[4] - 1][:-9]
        options.out.write_text("".join(line + "\n" for line in lines))
    print(f"{options.num:,} rows; rows {', '.join(str(place + 1) for place in places)} are none")


if __name__ == "__main__":
    main()
