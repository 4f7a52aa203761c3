"""What a run ends with: accuracies with intervals, where the report is, what to do next."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from igsm_pipeline.experiments import find_member
from igsm_pipeline.planning.flow import units_of
from igsm_pipeline.store import Store
from igsm_pipeline.toolbox import headline as module
from igsm_pipeline.toolbox.headline import headline


def verdicts(part: str, beams: int, right: int, wrong: int) -> list[dict[str, Any]]:
    common = {"slice": part, "beams": beams, "finished": True, "unnecessary_operations": 0, "unnecessary_parameters": 0}
    return [{**common, "correct": correct, "final_answer_correct": True} for correct in [True] * right + [False] * wrong]


LEFT = "next: `igsm run mine` computes what is left, up to the report"


def test_of_a_member_without_results_only_what_comes_next_is_said(home: Path) -> None:
    assert headline(find_member("mine"), Store.at_home()) == [LEFT]


def test_every_slice_has_its_share_interval_and_number_and_more_beams_are_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [*verdicts("op<=max", 1, 30, 10), *verdicts("op=max", 1, 1, 3), *verdicts("op=max", 4, 2, 2)]
    monkeypatch.setattr(module, "finished_verdicts", lambda _units, _store: rows)
    *lines, last = headline(find_member("mine"), Store.at_home())
    assert last == LEFT
    assert [line.split(" %")[0].split("(")[0].split("[")[0].strip() for line in lines] == [
        "mine  op<=max: 75.0",
        "mine  op=max: 25.0",
        "mine  op=max beam 4: 50.0",
    ]
    assert [line.rpartition("n = ")[2] for line in lines] == ["40", "4", "4"]


@pytest.mark.parametrize("fresh", [True, False])
def test_a_finished_report_is_named_with_the_next_commands_and_a_stale_one_is_not(home: Path, monkeypatch: pytest.MonkeyPatch, fresh: bool) -> None:
    monkeypatch.setattr(Store, "check", lambda _store, unit, **_: SimpleNamespace(fresh=fresh and unit.stage == "report"))
    member, store = find_member("mine"), Store(home / "store")
    lines = headline(member, store)
    if not fresh:
        assert lines == [LEFT]
        return
    unit = next(unit for unit in units_of(member) if unit.stage == "report")
    assert lines[0] == f"mine  report: {store.path(unit) / 'report.html'}"
    assert lines[1].startswith("next: `igsm report mine --open`, `igsm solve --model mine`")
