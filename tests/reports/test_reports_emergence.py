"""The chapter on emergence tells the half gains in their order, and says before or after only where the intervals are apart."""

from __future__ import annotations

from typing import Any

from reference.written_chapter import written_chapter

from igsm_pipeline.reports.page import Page
from igsm_pipeline.reports.sections.emergence import write_emergence


def written(half: dict[tuple[str, int | None], float | None], **experiment: Any) -> tuple[Page, str]:
    curves, gains = [], []
    for (measure, op), tokens in half.items():
        ends = {"tokens": tokens, "tokens_low": tokens and 0.8 * tokens, "tokens_high": tokens and 1.2 * tokens}
        gains.append({"measure": measure, "op": op, "num_problems": 50, "gain": 0.5, "gain_low": 0.4, "gain_high": 0.6, **ends})
        for step, value in ((0, 0.0), (10, 0.5)):
            row = {"measure": measure, "op": op, "step": step, "tokens": step * 1000, "n": 50, "num_problems": 50}
            curves.append({**row, "value": value, "value_low": max(0.0, value - 0.1), "value_high": value + 0.1})
    return written_chapter(write_emergence, {"emergence": curves, "half_gains": gains}, experiment)


def test_it_tells_the_order_and_shows_the_claim() -> None:
    page, text = written({("solved", 2): 2e6, ("solved", 3): 4e6, ("nece", None): 1e6, ("dep", None): None}, emergence={"claim": "that it <is>."})
    assert "in million tokens: needed 1.00 (0.80 to 1.20), solved, 2 operations 2.00 (1.60 to 2.40) and solved, 3 operations 4.00" in text.replace(
        "needed (nece)", "needed"
    )
    assert "What is needed can be read before problems of 3 operations are solved." in text
    assert "Stated before it was run: that it &lt;is&gt;." in text
    assert set(page.charts) == {"emergence_solved", "emergence_read"}
    assert "Save emergence.csv" in text


def test_overlapping_intervals_are_no_evidence_and_the_other_order_is_told() -> None:
    assert "No evidence whether what is needed" in written({("solved", 3): 1.1e6, ("nece", None): 1e6})[1]
    assert "can be read after problems of 3 operations are solved" in written({("solved", 3): 1e6, ("nece", None): 3e6})[1]
    assert "Nothing had gained anything" in written({("solved", 3): None})[1]


def test_without_snapshots_the_chapter_is_listed_as_missing() -> None:
    page, _ = written_chapter(write_emergence, {"emergence": [], "half_gains": []})
    assert page.charts == {}
    assert any("training.snapshots is 0" in reason for _, reason in page.what_is_missing())
