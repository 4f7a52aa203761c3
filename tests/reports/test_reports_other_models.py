"""The chapter on other people's models says the numbers of its table, draws a curve per model beside chance, and is not there without logs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reference.inspect_logs import write_example
from reference.written_chapter import written_chapter

from igsm_pipeline.evaluations.shares import shares_by_op
from igsm_pipeline.evaluations.write import read_folder
from igsm_pipeline.reports.page import Page
from igsm_pipeline.reports.sections.other_models import write_other_models


def written(rows: list[dict[str, Any]]) -> tuple[Page, str]:
    return written_chapter(write_other_models, {"llm_shares": rows})


def test_it_says_each_models_share_and_draws_figures_2_and_15(tmp_path: Path) -> None:
    rows, _ = read_folder(sorted(write_example(tmp_path).iterdir()))
    page, text = written(shares_by_op(rows))
    assert "some/model (answer alone, 5 examples, mod 5, question last): right answers 75.0 % (46.8 to 91.1) of 12; at 4 operations 25.0 %" in text
    assert "other/model (step by step, 5 examples, mod 5, question last): fully correct solutions 62.5 %" in text
    assert "near chance from 9 and from 11 operations on" in text
    assert list(page.charts) == ["other_models_right_answer", "other_models_fully_correct"]
    drawn = str(page.charts["other_models_right_answer"].spec)
    assert "chance, 1 in 5" in drawn
    assert "chance" not in str(page.charts["other_models_fully_correct"].spec["layer"])
    assert "some/model, answer alone" in drawn
    assert "Save other_models.csv" in text


def test_without_logs_there_is_no_chapter_and_nothing_is_listed_as_missing() -> None:
    page, text = written([])
    assert "other models" not in text
    assert page.what_is_missing() == []
