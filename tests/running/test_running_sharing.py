"""What another machine has finished is pulled, what it is computing is waited for, and what is finished here is pushed."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from reference.two_units import READER, SOURCE, fill

from igsm_pipeline import cli
from igsm_pipeline.errors import StageFailed, StoreError
from igsm_pipeline.experiments import find_member
from igsm_pipeline.planning.flow import units_of
from igsm_pipeline.planning.planner import Plan, plan
from igsm_pipeline.running import runner, sharing
from igsm_pipeline.running.runner import run_unit
from igsm_pipeline.store import PARTIAL, Store, Unit, Writing
from igsm_pipeline.store.remote import Remote

pytest.importorskip("obstore", reason="obstore is not installed: pip install -e '.[remote]'")


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("IGSM_REMOTE", f"file://{tmp_path}/bucket")
    return f"file://{tmp_path}/bucket"


class Work:
    """A stage's work, counted: it writes what it is told."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.text = "data"

    def __call__(self, unit: Unit, inputs: object, writing: Writing, *, workers: int = 1) -> None:
        self.done.append(unit.stage)
        (writing.folder / "a.bin").write_text(self.text)


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    made = Work()
    monkeypatch.setattr(runner, "compute", made)
    return made


def test_what_one_machine_computes_another_pulls(address: str, work: Work, tmp_path: Path) -> None:
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    assert [run_unit(unit, here).state for unit in (SOURCE, READER)] == ["computed", "computed"]
    said: list[str] = []
    assert [run_unit(unit, there, say=said.append).state for unit in (SOURCE, READER)] == ["pulled", "pulled"]
    assert work.done == [SOURCE.stage, READER.stage]
    assert said == [f"{unit.stage} train: pulled from {address}" for unit in (SOURCE, READER)]
    assert there.check(READER, deep=True).fresh
    assert there.manifest(READER) == here.manifest(READER)
    assert Remote(address).objects.sizes("leases") == {}
    assert [run_unit(unit, there).state for unit in (SOURCE, READER)] == ["hit", "hit"]


def test_of_two_machines_that_want_a_unit_at_once_one_computes_it_and_both_have_its_bytes(
    address: str, work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "LOCK_POLL_S", 0.01)
    ready, waited, stores, states, said = threading.Barrier(2), threading.Event(), [Store(tmp_path / name) for name in "ab"], [], []

    def slow(unit: Unit, inputs: object, writing: Writing, *, workers: int = 1) -> None:
        assert waited.wait(60), "the other one waits while this one works"
        work.text = str(writing.folder)
        work(unit, inputs, writing)

    def say(line: str) -> None:
        said.append(line)
        if line.startswith("waiting: problem_sets train is being computed by process"):
            waited.set()

    def run(store: Store) -> None:
        ready.wait()
        states.append(run_unit(SOURCE, store, say=say).state)

    monkeypatch.setattr(runner, "compute", slow)
    threads = [threading.Thread(target=run, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(states) == ["computed", "pulled"]
    assert len(work.done) == 1
    assert stores[0].manifest(SOURCE) == stores[1].manifest(SOURCE)
    assert all(store.check(SOURCE, deep=True).fresh for store in stores)
    assert sum(line.startswith("waiting") for line in said) == 1


def test_damaged_bytes_are_told_of_and_the_unit_is_computed_here(address: str, work: Work, tmp_path: Path) -> None:
    run_unit(SOURCE, Store(tmp_path / "here"))
    (file,) = (tmp_path / "bucket" / "store").rglob("a.bin")
    file.write_text("DATA")
    said: list[str] = []
    there = Store(tmp_path / "there")
    assert run_unit(SOURCE, there, say=said.append).state == "computed"
    assert any(line.startswith("refused: ") and "must have SHA-256" in line for line in said)
    assert (there.path(SOURCE) / "a.bin").read_text() == "data"


def test_a_push_that_fails_leaves_the_unit_finished_and_the_next_run_pushes_it(
    address: str, work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise StoreError("the line is down")

    here, said = Store(tmp_path / "here"), []
    with monkeypatch.context() as broken:
        broken.setattr("igsm_pipeline.store.objects.Objects.put", refuse)
        assert run_unit(SOURCE, here, say=said.append).state == "computed"
    assert said[-1] == "problem_sets train: not pushed; the next run tries again: the line is down"
    assert here.check(SOURCE).fresh
    assert Remote(address).manifest(SOURCE) is None
    assert run_unit(SOURCE, here).state == "hit"
    assert Remote(address).manifest(SOURCE) == here.manifest(SOURCE)


def test_whoever_finishes_second_with_other_content_takes_the_first_ones(
    address: str, work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, said = Store(tmp_path / "first"), Store(tmp_path / "second"), []

    def overtaken(unit: Unit, inputs: object, writing: Writing, *, workers: int = 1) -> None:
        fill(first, SOURCE, "first")
        Remote(address).push(first, SOURCE)
        work(unit, inputs, writing)

    monkeypatch.setattr(runner, "compute", overtaken)
    assert run_unit(SOURCE, second, say=said.append).content == first.manifest(SOURCE)["content"]
    assert said[-1] == "problem_sets train: another machine finished it first with other content, which is taken instead"
    assert second.check(SOURCE, deep=True).fresh


def test_a_unit_that_has_been_here_for_longer_is_kept_though_another_content_is_there(address: str, work: Work, tmp_path: Path) -> None:
    first, second, said = Store(tmp_path / "first"), Store(tmp_path / "second"), []
    fill(first, SOURCE, "first")
    Remote(address).push(first, SOURCE)
    fill(second, SOURCE, "second")
    before = second.manifest(SOURCE)
    assert run_unit(SOURCE, second, say=said.append).state == "hit"
    assert second.manifest(SOURCE) == before
    assert said == [f"problem_sets train: {sharing._KEPT.format(address)}"]
    assert "igsm pull --replace" in said[0]
    assert sharing.pull_units([SOURCE], second, Remote(address), said.append) == (0, 0, 0)
    assert sharing.pull_units([SOURCE], second, Remote(address), said.append, replace=True) == (1, 0, 0)
    assert second.manifest(SOURCE) == first.manifest(SOURCE)


def test_a_worker_says_what_it_does(work: Work, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert runner._run_beside(SOURCE, Store(tmp_path / "home")).state == "computed"
    assert capfd.readouterr().err == "problem_sets train: never computed\n"


def test_a_unit_made_from_other_inputs_is_neither_pulled_nor_pushed(address: str, work: Work, tmp_path: Path) -> None:
    first, second, said = Store(tmp_path / "first"), Store(tmp_path / "second"), []
    fill(first, SOURCE, "first")
    fill(first, READER)
    Remote(address).push(first, READER)
    fill(second, SOURCE, "second")
    assert run_unit(READER, second, say=said.append).state == "computed"
    assert second.check(READER).fresh
    assert said[-1] == f"token_shards train: {sharing._KEPT.format(address)}"


def test_a_stage_that_fails_gives_its_lease_back_and_pushes_nothing(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("no")

    monkeypatch.setattr(runner, "compute", fail)
    here, remote = Store(tmp_path / "here"), Remote(address)
    with pytest.raises(StageFailed):
        run_unit(SOURCE, here)
    assert remote.objects.sizes("leases") == {}
    assert remote.objects.sizes("store") == {}
    assert here.path(SOURCE).with_name(SOURCE.fingerprint + PARTIAL).exists()


def test_without_the_variable_nothing_is_asked_for(work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IGSM_REMOTE", raising=False)
    monkeypatch.setattr("igsm_pipeline.store.remote.Remote.__init__", lambda *_: pytest.fail("it was asked"))
    assert run_unit(SOURCE, Store(tmp_path / "here")).state == "computed"


def test_a_plan_counts_as_pulled_what_rests_on_pulled_units_and_not_what_rests_on_others(address: str, tmp_path: Path) -> None:
    first, second, remote = Store(tmp_path / "first"), Store(tmp_path / "second"), Remote(address)
    fill(first, SOURCE, "first")
    fill(first, READER)
    remote.push(first, READER)

    def looked(store: Store) -> sharing.Outlook:
        known: dict = {}
        units = (SOURCE, READER)
        return sharing.look_ahead(Plan(find_member("mini"), units, tuple(store.check(unit, known=known) for unit in units)), store, remote)

    ahead = looked(second)
    assert list(ahead.pulls) == [SOURCE, READER]
    assert ahead.bytes == first.manifest(SOURCE)["bytes"] + first.manifest(READER)["bytes"] > 0
    assert ahead.plan.stale == ()
    fill(second, SOURCE, "second")
    ahead = looked(second)
    assert not ahead.pulls
    assert ahead.plan.stale == (READER,)


def test_units_go_and_come_by_command_and_a_plan_says_what_would_come(
    home: Path, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(home / "store")
    (world,) = [unit for unit in units_of(find_member("mine")) if unit.stage == "world"]
    assert run_unit(world, store).state == "computed"
    size = store.manifest(world)["bytes"]

    def igsm(*words: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main(words)
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out + told.err

    assert igsm("push", "mine") == (0, f"0 pushed, 1 already at {address}\n")
    other = tmp_path / "other"
    monkeypatch.setenv("IGSM_HOME", str(other))
    (other / "experiments").mkdir(parents=True)
    (other / "experiments" / "mine.yaml").write_text((home / "experiments" / "mine.yaml").read_text())
    code, told = igsm("plan", "mine", "--stage", "world")
    assert code == 0
    assert told.splitlines() == [f"mine: 1 units, {size / 1000:.1f} kB, are pulled from {address}", "mine: all 1 units are fresh"]
    assert not (other / "store").exists(), "a plan pulls nothing"
    assert igsm("pull", "mine", "--stage", "world") == (0, "1 pulled, 0 already here\n")
    assert not plan(find_member("mine"), Store(other / "store"), ["world"], deep=True).stale
    code, told = igsm("-q", "pull", "mine", "--stage", "world", "--stage", "problem_sets")
    assert code == 1
    assert f"problem_sets probe_train is not at {address}\n" in told
    assert f"units are neither here nor at {address}: compute them with `igsm run`" in told
    monkeypatch.delenv("IGSM_REMOTE")
    code, told = igsm("pull", "mine")
    assert code == 2
    assert "IGSM_REMOTE must name an object storage, got 'none'; set it to s3://BUCKET/PREFIX or file:///FOLDER" in told
