"""Checks of the tables of evaluations: nothing counted twice or left out, verdicts that agree with each other."""

from __future__ import annotations

from collections import Counter

import pyarrow.parquet as pq

from igsm_pipeline.evaluations.shares import GROUP, MEASURES, each_once
from igsm_pipeline.evaluations.stage import ANSWERS, BY_OP
from igsm_pipeline.stage import Outcome, StageUnits


def every_answer(run: StageUnits) -> Outcome:
    """The rows by operations have as many questions, and as many that hold, as the answers themselves."""
    wrong, total = [], 0
    for folder in run.folders():
        counted: Counter[tuple[object, ...]] = Counter()
        held: Counter[tuple[object, ...]] = Counter()
        answers = list(each_once(pq.read_table(folder / ANSWERS.files).to_pylist()))
        total += len(answers)
        for row in answers:
            for measure in MEASURES:
                for op in (None, row["op"]) if row[measure] is not None else ():
                    key = (*(row[name] for name in GROUP), measure, op)
                    counted[key] += 1
                    held[key] += row[measure]
        found = {(*(row[name] for name in (*GROUP, "measure")), row["op"]): row for row in pq.read_table(folder / BY_OP.files).to_pylist()}
        wrong += [f"{key[0]} {key[-2]} op {key[-1]}: no row" for key in counted.keys() - found.keys()]
        for key, row in found.items():
            if (row["n"], round(row["share"] * row["n"])) != (counted[key], held[key]):
                wrong.append(f"{key[0]} {key[-2]} op {key[-1]}: {row['share']:.3f} of {row['n']}, must be {held[key]} of {counted[key]}")
    return Outcome(not wrong, "; ".join(wrong[:5]) or f"{total} answers are counted", {"answers": total})


def correct_ones(run: StageUnits) -> Outcome:
    """No answer is fully correct without being right, or with a first error."""
    wrong = 0
    for folder in run.folders():
        for row in pq.read_table(folder / ANSWERS.files).to_pylist():
            if row["fully_correct"] is not None:
                wrong += bool(row["fully_correct"]) != (row["first_error"] is None) or (row["fully_correct"] and not row["right_answer"])
    return Outcome(not wrong, f"{wrong} answers have verdicts that contradict each other" if wrong else "all verdicts agree", {"wrong": wrong})
