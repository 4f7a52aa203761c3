"""The chapter on erasure tells where a concept costs most beside the worst random directions of its rank, and whether it is read again at the end."""

from __future__ import annotations

from typing import Any

from reference.written_chapter import written_chapter

from igsm_pipeline.reports.page import Page
from igsm_pipeline.reports.sections.erasure import write_erasure

SOLVED = {
    ("none", 0, 0, 0): 0.8,
    ("nece", 2, 1, 0): 0.75,
    ("nece", 4, 1, 0): 0.3,
    ("random", 2, 1, 0): 0.7,
    ("random", 4, 1, 0): 0.78,
    ("random", 4, 1, 1): 0.6,
    ("random", 4, 5, 0): 0.01,
}
READ = {("none", 0, 8): 0.9, ("nece", 4, 4): 0.5, ("nece", 4, 8): 0.85}


def solved(changes: dict[tuple[str, int, int, int], float]) -> list[dict[str, Any]]:
    rows = []
    for (what, layer, rank, draw), value in {**SOLVED, **changes}.items():
        row = {
            "erased": what,
            "layer": layer,
            "rank": rank,
            "draw": draw,
            "acts": "everywhere",
            "moved": 0.123 * (what != "none"),
            "moved_names": 0.2,
            "n": 500,
            "first_error": "wrong_value",
        }
        for name, number in (("correct", value), ("gain", value - 0.8), ("kept", 0.5), ("useless", 0.1)):
            row |= {name: number, f"{name}_low": number - 0.02, f"{name}_high": number + 0.02}
        rows.append(row)
    return rows


def read() -> list[dict[str, Any]]:
    return [
        {
            "erased": what, "layer": layer, "rank": int(what != "none"), "draw": 0, "task": "nece", "read_layer": read_layer, "n": 900,
            "num_problems": 90, "balanced_accuracy": value, "balanced_accuracy_low": value - 0.01, "balanced_accuracy_high": value + 0.01,
        }
        for (what, layer, read_layer), value in READ.items()
    ]  # fmt: skip


def written(changes: dict[tuple[str, int, int, int], float], **experiment: Any) -> tuple[Page, str]:
    return written_chapter(write_erasure, {"erasure": solved(changes), "erasure_reading": read()}, experiment)


def test_it_tells_where_a_concept_costs_most_beside_the_worst_random_directions_of_its_rank() -> None:
    page, text = written({}, erasure={"claim": "that it <needs> it."})
    assert "With nothing erased, 80.0 % (78.0 to 82.0) of 500 problems are solved." in text
    assert "Without “needed (nece)” at layer 4, where it costs most, 30.0 % (28.0 to 32.0) are" in text
    assert "without the worst of its random directions 60.0 % (58.0 to 62.0)." in text, "those of rank 5 are another control"
    assert "read with 85.0 % (84.0 to 86.0) then, with 90.0 % (89.0 to 91.0) otherwise" in text
    assert "no evidence" not in text
    assert "Stated before it was run: that it &lt;needs&gt; it." in text
    assert set(page.charts) == {"erasure"}
    assert "random, rank 5, draw 1" in text
    assert "wrong_value" in text
    assert "taken out of every state of one layer" in text
    assert "12.3" in text
    rows = [row | {"acts": "names"} for row in solved({})]
    assert "taken out of the states behind names at one layer" in written_chapter(write_erasure, {"erasure": rows, "erasure_reading": read()}, {})[1]


def test_no_lead_over_random_directions_is_no_evidence_and_nothing_erased_is_listed_as_missing() -> None:
    assert "no evidence that the concept matters" in written({("random", 4, 1, 1): 0.31})[1]
    page, _ = written_chapter(write_erasure, {"erasure": solved({})[:1], "erasure_reading": []})
    assert page.charts == {}
    assert any("erasure.problems is 0" in reason for _, reason in page.what_is_missing())
