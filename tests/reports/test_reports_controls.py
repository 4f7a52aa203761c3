"""The chapter on controls says of which questions the V-probe is ahead of which control, shows the claim, and tells what a code costs."""

from __future__ import annotations

from typing import Any

from reference.written_chapter import written_chapter

from igsm_pipeline.reports.page import Page
from igsm_pipeline.reports.sections.controls import write_controls

SCORES = {"nece": {"v_probe": 0.9, "control_task": 0.9, "random": 0.6}, "value": {"v_probe": 0.7, "control_task": 0.2, "random": 0.8}}


def scored() -> list[dict[str, Any]]:
    rows = []
    for task, readers in SCORES.items():
        for reader, value in readers.items():
            gain = None if reader == "v_probe" else readers["v_probe"] - value
            ends = {"gain_low": None, "gain_high": None} if gain is None else {"gain_low": gain - 0.02, "gain_high": gain + 0.02}
            row = {"task": task, "slice": "op<=max", "reader": reader, "subset": "all", "n": 500, "num_problems": 50, "gain": gain, **ends}
            rows.append(row | {f"{name}{end}": value for name in ("accuracy", "balanced_accuracy") for end in ("", "_low", "_high")})
    rows.append(rows[1] | {"subset": "learned", "balanced_accuracy": 0.123})
    return rows


def coded() -> list[dict[str, Any]]:
    bits = {"v_probe": 0.5, "random": 0.75, "shares": 0.9}
    return [
        {
            "task": "nece", "reader": reader, "share": share, "n": int(1000 * share), "bits": 1000 * share * each, "uniform": 1000 * share,
            **{f"compression{end}": 1 / each for end in ("", "_low", "_high")}, **{f"longer{end}": each - 0.5 for end in ("", "_low", "_high")},
        }
        for reader, each in bits.items()
        for share in (0.5, 1.0)
    ]  # fmt: skip


def written(rows: list[dict[str, Any]], codes: list[dict[str, Any]], **experiment: Any) -> tuple[Page, str]:
    return written_chapter(write_controls, {"probe_controls": rows, "description_length": codes}, experiment)


def test_it_says_where_the_v_probe_is_ahead_behind_and_even_and_shows_the_claim() -> None:
    page, text = written(scored(), coded(), knowledge={"claim": "that it is <the model>."})
    assert "beside “taught random answers by heart”, points of balanced accuracy on 1 to 0 operations: ahead by its value +50.0" in text
    assert "no evidence for needed +0.0 (-2.0 to 2.0)" in text
    assert "beside “V-probe, random weights”, points of balanced accuracy on 1 to 0 operations: ahead by needed +30.0" in text
    assert "behind by its value -10.0 (-12.0 to -8.0)" in text
    assert "Stated before it was run: that it is &lt;the model&gt;." in text
    assert "Each answer costs so many bits more with random weights than with the trained model: needed 0.25" in text
    assert set(page.charts) == {"controls_0"}
    assert "12.3" not in text.split("<details>")[0], "subsets are in the file alone"


def test_the_whole_code_is_shown_and_what_came_before_is_in_the_file() -> None:
    _, text = written(scored(), coded())
    table = text.partition("How short is the code?")[2].partition("<details>")[0]
    assert [number in table for number in ("2.00", "1.33", "1.11")] == [True, True, True]
    assert "up to 1,000 queries" in table
    assert "Stated before" not in text


def test_without_controls_the_chapter_is_listed_as_missing() -> None:
    page, _ = written([], [])
    assert page.charts == {}
    assert any("knowledge.controls" in reason for _, reason in page.what_is_missing())
