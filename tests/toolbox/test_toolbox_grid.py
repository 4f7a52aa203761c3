"""Figure 9: every size at its best over seeds and beams, with the interval of that run, from whatever is finished."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from reference.invented_members import invent, invented_verdicts
from reference.own_experiment import declare

from igsm_pipeline.cli import main
from igsm_pipeline.errors import NotFound
from igsm_pipeline.experiments.experiment import load_experiments
from igsm_pipeline.intervals.share import share
from igsm_pipeline.planning.flow import units_of
from igsm_pipeline.reports.findings import Findings
from igsm_pipeline.reports.page import foreign_references
from igsm_pipeline.store import Store, Unit
from igsm_pipeline.store.remote import Remote
from igsm_pipeline.toolbox.found import read_found
from igsm_pipeline.toolbox.grid import best_runs, find_report, finished_runs, write_grid_report

N = 50
RIGHT = {  # size, seed -> correct of N with beam 1, with beam 4
    ("small", "s0"): (10, 12),
    ("small", "s1"): (20, 8),
    ("large", "s0"): (30, 31),
    ("large", "s1"): (29, 25),
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IGSM_HOME", str(tmp_path))
    declare(
        tmp_path,
        'probes: {tasks: []}\nevaluation: {beams: [1, 4], slices: ["op<=max", "op=max"]}\n'
        "grid:\n  size: {small: {model.layers: 1}, large: {model.layers: 2}}\n  training.seed: {s0: 0, s1: 1}\n",
        "depths",
    )
    return tmp_path


def finish(store: Store, size: str, seed: str) -> None:
    """Invented verdicts of one member; of op=max a tenth less is right."""
    (member,) = [one for one in load_experiments()["depths"].members if one.labels == {"size": size, "training.seed": seed}]

    def write(unit: Unit, folder: Path) -> None:
        if unit.stage == "verdicts":
            right = RIGHT[size, seed][unit.name.endswith("beam 4")] - (5 if unit.name.startswith("op=max") else 0)
            pq.write_table(invented_verdicts([row < right for row in range(N)], [3] * N), folder / "verdicts.parquet")

    invent(store, member, write)


def test_each_size_stands_at_its_best_run_with_that_runs_interval(home: Path) -> None:
    store = Store.at_home()
    for size, seed in RIGHT:
        finish(store, size, seed)
    runs = finished_runs(read_found(load_experiments()["depths"], store), store)
    assert len(runs) == 4 * 2 * 2
    best = best_runs(runs)
    assert {part: {size: (run.member, run.beams) for size, run in cell.items()} for part, cell in best.items()} == {
        part: {"small": ("depths.small.s1", 1), "large": ("depths.large.s0", 4)} for part in ("op<=max", "op=max")
    }
    assert best["op<=max"]["large"].correct == share(31, N)
    assert best["op=max"]["small"].correct == share(15, N)
    assert best["op<=max"]["large"].parameters == 2000


def test_the_page_shows_every_run_and_loads_nothing_from_elsewhere(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store.at_home()
    experiment = load_experiments()["depths"]
    with pytest.raises(NotFound, match="no member of depths has finished verdicts"):
        write_grid_report(experiment, store, home / "reports")
    finish(store, "small", "s0")
    finish(store, "large", "s1")
    with pytest.raises(SystemExit) as ended:
        main(["report", "depths"])
    assert ended.value.code == 0
    path = Path(capsys.readouterr().out.strip())
    text = path.read_text()
    assert "2 of 4 members" in text
    assert "24.0, 20.0" in text, "both beams of the small size"
    assert "1 to 3 operations: large solves most, 58.0 (44.2 to 70.6) %; small least, 24.0 (14.3 to 37.4) %." in text
    assert "<svg" in text
    assert foreign_references(text) == []
    assert (path.parent / "depths-sizes.png").stat().st_size > 1000


def test_the_page_reads_the_verdicts_of_each_member_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, read, plain = Store.at_home(), [], Findings.verdicts
    for size, seed in RIGHT:
        finish(store, size, seed)
    monkeypatch.setattr(Findings, "verdicts", lambda self: read.append(len(self.sources)) or plain(self))
    write_grid_report(load_experiments()["depths"], store, home / "reports")
    assert read == [4] * len(RIGHT), "two slices with two beams each"


def test_the_page_of_a_grid_pulls_what_it_compares_and_no_more(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("obstore", reason="obstore is not installed: pip install -e '.[remote]'")
    store, remote = Store.at_home(), Remote(f"file://{tmp_path}/bucket")
    finish(store, "small", "s0")
    finish(store, "large", "s1")
    units = {unit for member in load_experiments()["depths"].members for unit in units_of(member)}
    whole = [unit for unit in units if store.check(unit).fresh]
    for unit in whole:
        remote.push(store, unit)
    other = tmp_path / "other"
    (other / "experiments").mkdir(parents=True)
    (other / "experiments" / "depths.yaml").write_bytes((home / "experiments" / "depths.yaml").read_bytes())
    monkeypatch.setenv("IGSM_HOME", str(other))
    with pytest.raises(NotFound, match="no member of depths has finished verdicts"):
        find_report("depths")
    monkeypatch.setenv("IGSM_REMOTE", remote.address)
    said: list[str] = []
    path, _ = find_report("depths", said.append)
    assert "2 of 4 members" in path.read_text()
    here = {unit for unit in units if Store.at_home().check(unit).fresh}
    assert {unit for unit in here if unit.stage == "verdicts"} == {unit for unit in whole if unit.stage == "verdicts"}
    assert len(said) == len(here) < len(whole)
    assert {unit.stage for unit in whole} - {unit.stage for unit in here}, "what the page does not read stays there"
    said.clear()
    find_report("depths", said.append)
    assert said == [], "what is here is not pulled again"
