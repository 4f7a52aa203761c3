"""The chapter on regret tells the slice with most mistakes, says so where the probe's gain may be nothing, and is listed as missing when off."""

from __future__ import annotations

from typing import Any

from igsm_pipeline.reports.findings import Findings
from igsm_pipeline.reports.page import Page
from igsm_pipeline.reports.results import Results
from igsm_pipeline.reports.sections.regret import write_regret
from igsm_pipeline.reports.settings import ReportSettings


def value(name: str, middle: float, spread: float = 0.02) -> dict[str, float]:
    return {name: middle, f"{name}_low": middle - spread, f"{name}_high": middle + spread}


def told(part: str, subset: str, n: int, cannot: float) -> dict[str, Any]:
    rest = value("accuracy", 0.9) | value("balanced_accuracy", 0.8)
    return {"slice": part, "subset": subset, "n": n, "num_problems": n, "computable": 0} | value("cannot", cannot) | rest


def retried(part: str, decoder: str, tries: int, correct: float, gain: float) -> dict[str, Any]:
    rest = {"retries": 1.0, "asked": 6.0, "used_up": 0.1, "tokens_read": 150.0}
    return {"slice": part, "decoder": decoder, "tries": tries, "n": 300} | value("correct", correct) | value("gain", gain) | rest


TOLD = [
    told("op=max", "right", 900, 0.05), told("op=max", "mistake", 20, 0.9),
    told("op=max+1", "all", 9000, 0.7), told("op=max+1", "right", 800, 0.06), told("op=max+1", "mistake", 70, 0.55),
    told("op=max+1", "elsewhere", 400, 0.9),
]  # fmt: skip
RETRIED = [
    retried(part, decoder, tries, correct, gain)
    for part in ("op=max", "op=max+1")
    for decoder, tries, correct, gain in (("greedy", 0, 0.4, 0.0), ("probe", 10, 0.45, 0.05), ("probe", 50, 0.5, 0.1), ("truth", 10, 0.6, 0.2),
                                          ("chance", 10, 0.39, -0.01), ("beam", 4, 0.41, 0.01))
]  # fmt: skip


def written(table: list[dict[str, Any]], retried: list[dict[str, Any]], **experiment: Any) -> tuple[Page, str]:
    results = Results(ReportSettings(member="invented", experiment=experiment), Findings(()))
    results.__dict__.update(regret=table, retry_upon_regret=retried)
    page = Page("a", "b", "c")
    write_regret(page, results)
    return page, page.render()


def test_it_tells_the_slice_with_most_mistakes_and_what_going_back_brings() -> None:
    page, text = written(TOLD, RETRIED, regret={"claim": "that it <knows>."})
    assert "the state says so in 55.0 % (53.0 to 57.0) of 70, of the names in right sentences of 6.0 % (4.0 to 8.0) (800)" in text
    assert "from 40.0 % (38.0 to 42.0) by 5.0 points (3.0 to 7.0) with at most 10 tries, with the true answer by 20.0 points" in text
    assert "no evidence" not in text
    assert "Stated before it was run: that it &lt;knows&gt;." in text
    assert set(page.charts) == {"regret", "retry_upon_regret"}
    assert "retried at random" in page.charts["retry_upon_regret"].svg


def test_a_gain_that_may_be_nothing_is_no_evidence_and_no_mistake_is_nothing_to_regret() -> None:
    nothing = [row | value("gain", 0.01) if row["decoder"] == "probe" else row for row in RETRIED]
    assert "no evidence that it helps" in written(TOLD, nothing)[1]
    assert "nothing to regret" in written([row for row in TOLD if row["subset"] != "mistake"], RETRIED)[1]


def test_without_it_the_page_says_what_is_missing() -> None:
    page, _ = written([], [])
    assert page.charts == {}
    assert any("regret.problems is 0" in reason for _, reason in page.what_is_missing())
