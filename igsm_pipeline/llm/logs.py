"""Inspect's logs as tables and figures, without an experiment: what the stage ``llm_evaluations`` writes, for any logs.

    python -m igsm_pipeline.llm.logs logs/*.eval --out data/llm

writes ``answers.parquet`` (one row per question), ``by_op.parquet`` (shares with intervals) and a figure per measure, and prints the shares.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from igsm_pipeline.evaluations.write import read_folder, write_tables
from igsm_pipeline.intervals.interval import of_columns
from igsm_pipeline.reports.paper import FIGURES_2_15
from igsm_pipeline.reports.sections.other_models import MEASURES, draw_by_op
from igsm_pipeline.store import write_atomically


def main(arguments: list[str] | None = None) -> None:
    """Write the tables and the figures of some logs, and print the shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("logs", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path("data/llm"))
    options = parser.parse_args(arguments)
    rows, counts = read_folder(options.logs)
    options.out.mkdir(parents=True, exist_ok=True)
    shares = write_tables(rows, options.out)
    for measure in MEASURES:
        chosen = [row for row in shares if row["measure"] == measure]
        if chosen:
            write_atomically(options.out / f"{measure}.svg", draw_by_op(measure, chosen).svg.encode())
    for row in shares:
        op = "all" if row["op"] is None else row["op"]
        print(f"{row['model']:<30} {row['style'] or '-':<7}{row['measure']:<14} op {op:>3}  {of_columns(row, 'share').percent()} %  n = {row['n']}")
    left_out = counts["other_tasks"] + counts["unfinished"]
    print(FIGURES_2_15 + (f"\n{left_out} logs of other tasks or of runs that did not end were left out." if left_out else ""))


if __name__ == "__main__":
    main()
