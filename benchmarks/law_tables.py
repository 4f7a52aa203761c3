"""Writes docs/law-tables.md: what the problems of med, hard, an op far out, and a world from a file are like.

python benchmarks/law_tables.py [--num 100000]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from igsm_pipeline.toolbox.dataset import generated_set
from igsm_pipeline.toolbox.law_tables import make_tables, tables_text
from igsm_pipeline.world import load_world

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "law-tables.md"
MINI = Path("igsm_pipeline/world/mini.json")
SETS: tuple[tuple[str, int | None, str], ...] = (("med", None, "igsm"), ("hard", None, "igsm"), ("hard", 32, "igsm"), ("med", None, str(MINI)))
HEAD = """# Tables of the law

Made by `python benchmarks/law_tables.py`; one section is what `igsm generate --family med --split all --num 100000 --tables` prints
(`--world FILE` for another world, `--out x.json` for the count of every value).

*Parameters* are those of the dependency graph: every statement's, and every abstract one that is used or needed. *Depth* is the number of
parameters on the longest way from one without parents to the query. *In-degree* counts the random number as a parent. *Childless* abstract
parameters are those of items without children, whose value is 0. *Tokens* are GPT-2's, from [222] to [50256]. se is the standard error of a mean
or share. The structure, and so all but the names and the tokens, does not depend on the world as long as its sub-categories hold four items.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num", type=int, default=100_000)
    num = parser.parse_args().num
    parts = [HEAD]
    for family, op, world in SETS:
        law = "range" if op is None else "exact"
        settings = generated_set(family, law=law, op=op, split="all", num_problems=num if op is None else num // 10)
        source = world if world == "igsm" else str(ROOT / world)
        parts.append(tables_text(make_tables(settings, load_world(source), world)))
    PAGE.write_text("\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
