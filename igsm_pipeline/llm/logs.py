"""Inspect's logs as a table and a figure: accuracy by number of operations, a curve per model.

    python -m igsm_pipeline.llm.logs logs/*.eval --out data/llm

writes ``answers.parquet`` (one row per question), ``by_op.parquet`` (shares with intervals) and ``by_op.svg``, and prints the shares.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from inspect_ai.log import EvalLog, read_eval_log

from igsm_pipeline.errors import BadInput, NotFound
from igsm_pipeline.intervals.interval import of_columns
from igsm_pipeline.intervals.share import share
from igsm_pipeline.problems.files import write_parquet
from igsm_pipeline.reports.charts.chart import Chart
from igsm_pipeline.reports.charts.curves import Point, draw_curves, looks
from igsm_pipeline.reports.sections.opening import percent
from igsm_pipeline.store import write_atomically

TASK = "igsm"
PAPER = (
    "The paper's figures 2 and 15 ask GPT-4-turbo and GPT-4o with 5 examples, arithmetic mod 5, and judge the final answer alone:"
    " near chance from 9 and from 11 operations on."
)
"""Source: arXiv:2407.20311, figures 2 and 15, in words."""
ANSWERS = pa.schema(
    [
        ("model", pa.string()),
        ("style", pa.string()),
        ("shots", pa.int16()),
        ("modulus", pa.int32()),
        ("question", pa.int32()),
        ("op", pa.int16()),
        ("right_answer", pa.bool_()),
        ("fully_correct", pa.bool_()),
        ("first_error", pa.string()),
        ("unnecessary_parameters", pa.int32()),
    ]
)
"""One row per question; what a style does not judge is null."""
BY_OP = pa.schema(
    [
        ("model", pa.string()),
        ("style", pa.string()),
        ("measure", pa.string()),
        ("op", pa.int16()),
        ("n", pa.int32()),
        ("share", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
    ]
)
"""One row per model, style, measure (right_answer or fully_correct) and number of operations; Wilson's 95 % interval."""
Row = dict[str, Any]


def read_logs(paths: Sequence[Path]) -> list[Row]:
    """The rows of ``ANSWERS`` of some logs, in order; questions that failed before they were scored are left out.

    Raises:
        NotFound: there is no such file.
        BadInput: it is no log of the task ``igsm``, or the run did not end.
    """
    rows: list[Row] = []
    for path in paths:
        if not path.is_file():
            raise NotFound(f"no log {path}: name files that `inspect eval` wrote")
        try:
            log = read_eval_log(str(path))
        except Exception as error:  # Inspect raises many kinds; each means that this is no log
            raise BadInput(str(path), "must be a log of Inspect", str(error)[:80], "name a file that `inspect eval` wrote") from error
        if log.eval.task.rpartition("/")[2] != TASK:
            raise BadInput(str(path), f"must be of the task {TASK}", log.eval.task, "name a log of `inspect eval igsm_pipeline/igsm`")
        if log.status != "success":
            raise BadInput(str(path), "must be of a run that ended", log.status, "finish it with `inspect eval-retry`")
        rows += _rows(log)
    return rows


def by_op(rows: Iterable[Row]) -> list[Row]:
    """The rows of ``BY_OP``."""
    counted: dict[tuple[str, str, str, int], list[bool]] = {}
    for row in rows:
        for measure in ("right_answer", "fully_correct"):
            if row[measure] is not None:
                counted.setdefault((row["model"], row["style"], measure, row["op"]), []).append(row[measure])
    found = []
    for (model, style, measure, op), hits in sorted(counted.items()):
        value = share(sum(hits), len(hits))
        shown = {"model": model, "style": style, "measure": measure, "op": op, "n": len(hits)}
        found.append({**shown, **value.columns("share", "")})
    return found


def draw(rows: Sequence[Row], modulus: int) -> Chart:
    """Accuracy by number of operations, a curve per model and measure, and chance in words.

    Args:
        rows: of ``BY_OP``.
        modulus: chance is one in so many.
    """
    named = [f"{row['model']}, {row['measure'].replace('_', ' ')}" for row in rows]
    series = looks(list(dict.fromkeys(named)))
    points = [Point(row["op"], series[name], percent(of_columns(row, "share", "")), row["n"]) for name, row in zip(named, rows, strict=True)]
    words = f"Share of right replies by number of operations, with 95% intervals; chance is {100 / modulus:.0f} %. {PAPER}"
    return draw_curves("by_op", words, points, x="operations", y="right, %")


def _rows(log: EvalLog) -> list[Row]:
    said = log.eval.metadata or {}
    common = {"model": log.eval.model, "style": said.get("style"), "shots": said.get("shots"), "modulus": said.get("modulus")}
    rows = []
    for sample in log.samples or []:
        scores = {name: score.value for name, score in (sample.scores or {}).items()}
        if "right_answer" not in scores:
            continue
        steps = "fully_correct" in scores
        error = str(scores["first_error"]) if steps else None
        judged = {
            "right_answer": scores["right_answer"] == 1,
            "fully_correct": scores["fully_correct"] == 1 if steps else None,
            "first_error": None if error == "none" else error,
            "unnecessary_parameters": int(float(str(scores["unnecessary_parameters"]))) if steps else None,
        }
        rows.append({**common, "question": int(sample.id), "op": int(sample.metadata["op"]), **judged})
    return rows


def main(arguments: list[str] | None = None) -> None:
    """Write the tables and the figure of some logs, and print the shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("logs", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path("data/llm"))
    options = parser.parse_args(arguments)
    rows = read_logs(options.logs)
    shares = by_op(rows)
    options.out.mkdir(parents=True, exist_ok=True)
    write_parquet(pa.Table.from_pylist(rows, ANSWERS), options.out / "answers.parquet")
    write_parquet(pa.Table.from_pylist(shares, BY_OP), options.out / "by_op.parquet")
    write_atomically(options.out / "by_op.svg", draw(shares, max((row["modulus"] for row in rows), default=23)).svg.encode())
    for row in shares:
        value = of_columns(row, "share", "").percent()
        print(f"{row['model']:<30} {row['style']:<7}{row['measure']:<14} op {row['op']:>2}  {value} %  n = {row['n']}")
    print(PAPER)


if __name__ == "__main__":
    main()
