"""The chapter on steering tells the strength at which the push is furthest ahead of both controls, and says so where it is ahead of none."""

from __future__ import annotations

from typing import Any

from reference.written_chapter import written_chapter

from igsm_pipeline.reports.page import Page
from igsm_pipeline.reports.sections.steering import write_steering

NAMED = {
    "probe": {2: (0.1, 0.5, 0.6), 4: (0.0, 0.1, 0.1)},
    "other": {2: (0.0, 0.1, 0.4), 4: (0.0, 0.0, 0.1)},
    "random": {2: (0.0, 0.0, 0.1), 4: (0, 0, 0)},
}


def rows(named: dict[str, dict[int, tuple[float, ...]]]) -> list[dict[str, Any]]:
    return [
        {
            "push": push, "layer": layer, "strength": strength, "n": 600, "named": value, "named_low": value - 0.03, "named_high": value + 0.03,
            **{f"{name}{end}": 0.0 for name in ("kept", "shift") for end in ("", "_low", "_high")},
        }
        for push, layers in named.items()
        for layer, values in layers.items()
        for strength, value in zip((0.05, 0.1, 0.2), values, strict=True)
    ]  # fmt: skip


def written(table: list[dict[str, Any]], **experiment: Any) -> tuple[Page, str]:
    return written_chapter(write_steering, {"steering": table}, experiment)


def test_it_tells_the_push_that_is_furthest_ahead_of_the_better_control() -> None:
    page, text = written(rows(NAMED), steering={"claim": "that it <can>."})
    assert "Pushed at layer 2 by 0.1 of their norm, states make the model begin with a useless quantity in 50.0 % (47.0 to 53.0) of 600" in text
    assert "about another one in 10.0 % (7.0 to 13.0), along random directions in 0.0 %" in text
    assert "no evidence" not in text
    assert "Stated before it was run: that it &lt;can&gt;." in text
    assert set(page.charts) == {"steering_2", "steering_4"}


def test_no_lead_is_no_evidence_and_no_pushes_are_listed_as_missing() -> None:
    even = dict.fromkeys(NAMED, NAMED["other"])
    assert "no evidence that the model uses what the probe reads" in written(rows(even))[1]
    page, _ = written([])
    assert page.charts == {}
    assert any("steering.problems is 0" in reason for _, reason in page.what_is_missing())
