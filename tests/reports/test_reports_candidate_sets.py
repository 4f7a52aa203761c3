"""The part on candidate sets: needed and other quantities apart, set beside set, and one sentence on result 5."""

from __future__ import annotations

from typing import Any

from reference.written_chapter import written_chapter

from igsm_pipeline.reports.page import Page
from igsm_pipeline.reports.sections.controls import write_controls

FLOORS = {"gain": (0.30, 0.25, 0.35), "gain_over_text": (0.01, -0.02, 0.04)}


def rows_of(task: str, values: dict[tuple[str, str], float]) -> list[dict[str, Any]]:
    made = []
    for (name, subset), value in values.items():
        for reader in ("v_probe", "random", "majority"):
            score = value if reader == "v_probe" else 0.5
            row = {
                "task": task,
                "slice": "op<=max",
                "candidates": name,
                "reader": reader,
                "subset": subset,
                "n": 400,
                "num_problems": 40,
                "positives": 90,
            }
            row |= {f"{measure}{end}": score for measure in ("accuracy", "balanced_accuracy") for end in ("", "_low", "_high")}
            for measure, numbers in FLOORS.items():
                ends = zip(("", "_low", "_high"), numbers, strict=True)
                row |= {f"{measure}{end}": number if reader == "v_probe" else None for end, number in ends}
            made.append(row)
    return made


def written(rows: list[dict[str, Any]]) -> tuple[Page, str]:
    control = {"task": "dep", "slice": "op<=max", "reader": "v_probe", "subset": "all", "n": 5, "num_problems": 5}
    control |= {
        f"{name}{end}": None if name == "gain" else 0.8 for name in ("accuracy", "balanced_accuracy", "gain") for end in ("", "_low", "_high")
    }
    return written_chapter(write_controls, {"probe_controls": [control], "description_length": [], "candidate_sets": rows})


def test_sets_stand_side_by_side_with_needed_and_other_quantities_apart() -> None:
    values = {("all", "all"): 0.61, ("existing", "all"): 0.72, ("existing", "unnecessary"): 0.83, ("existing", "necessary"): 0.94}
    page, text = written(rows_of("dep", values))
    assert {"sets_unnecessary_0", "sets_necessary_0"} <= set(page.charts)
    part = text.partition("Does it rest on what is asked about?")[2].partition("<details>")[0]
    assert [number in part for number in ("61.0", "72.0", "83.0", "94.0")] == [True] * 4
    assert "not needed for the answer" in part
    assert "those of the dependency graph" not in part, "a set that nobody asked for has no column"


def test_result_5_is_told_of_existing_quantities_that_the_answer_does_not_need() -> None:
    _, text = written(rows_of("dep", {("existing", "unnecessary"): 0.83, ("all", "unnecessary"): 0.99}))
    assert "Of quantities that exist and that the answer does not need" in text
    assert "83.0 (83.0 to 83.0) %, +30.0 (25.0 to 35.0) over random weights and +1.0 (-2.0 to 4.0) over the text alone" in text
    assert "no evidence beyond the text alone" in text
    assert "99.0 (99.0 to 99.0) %, +30" not in text


def test_without_sets_there_is_no_such_part() -> None:
    page, text = written([])
    assert "Does it rest on" not in text
    assert not any(name.startswith("sets_") for name in page.charts)
