"""Cards are leased: four units on four cards have one each, a fifth waits, a lone training has all that are free."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from igsm_pipeline.experiments import find_member
from igsm_pipeline.planning.flow import STAGES, units_of
from igsm_pipeline.running import cards, runner
from igsm_pipeline.running.cards import VISIBLE, leased, map_on_cards, visible_cards
from igsm_pipeline.store import Store

FOUR = ("0", "1", "2", "3")
PATIENCE_S = 300.0
HOLDER = """
import sys, time
from igsm_pipeline.running.cards import leased
with leased(("0", "1"), 1) as mine:
    print(*mine, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _own_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks of this test alone; workers that it starts use them, too."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(cards.tempfile, "tempdir", None)
    monkeypatch.delenv(VISIBLE, raising=False)


def meet(folder: str, number: int, others: int) -> tuple[str, int]:
    """In a worker: say that it has begun, and go on when all the others have, too. Returns its cards and its process."""
    (Path(folder) / f"began {number}").touch()
    end = time.monotonic() + PATIENCE_S
    while len(list(Path(folder).glob("began *"))) < others:
        assert time.monotonic() < end, "units are not computed side by side"
        time.sleep(0.02)
    return os.environ[VISIBLE], os.getpid()


def test_four_units_on_four_cards_are_computed_side_by_side_each_on_its_own(tmp_path: Path) -> None:
    seen = map_on_cards(meet, [str(tmp_path)] * 4, range(4), [4] * 4, cards=FOUR, beside=4)
    assert sorted(card for card, _ in seen) == list(FOUR)
    assert len({process for _, process in seen}) == 4
    with leased(FOUR, 0) as mine:
        assert mine == FOUR, "their leases ended with them"


def test_a_held_card_is_left_alone_and_a_lease_ends_with_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cards, "POLL_S", 0.05)
    with subprocess.Popen([sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == b"0\n"
        said: list[str] = []
        with leased(("0", "1"), 0) as mine:
            assert mine == ("1",), "all that are free"
            assert os.environ[VISIBLE] == "1"

            def say(line: str) -> None:
                said.append(line)
                holder.kill()

            with leased(("0",), 1, say) as waited:
                assert waited == ("0",)
    assert VISIBLE not in os.environ
    assert said == [f"waiting: all 1 cards are in use, by process {holder.pid}"]


def test_cards_are_those_that_the_driver_shows_and_the_environment_allows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cards, "DRIVER", tmp_path / "nvidiactl")
    monkeypatch.setattr(cards, "DEVICES", tmp_path)
    for name in ("nvidia10", "nvidia2", "nvidia0", "nvidia-uvm"):
        (tmp_path / name).touch()
    assert visible_cards() == ()
    (tmp_path / "nvidiactl").touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_cards() == ("0", "1", "2"), "CUDA counts what it sees, whatever the files are called: a container has nvidia2 as card 0"
    for value, wanted in (("2,0", ("2", "0")), ("", ()), ("-1", ()), ("GPU-8ac3, GPU-77", ("GPU-8ac3", "GPU-77"))):
        monkeypatch.setenv(VISIBLE, value)
        assert visible_cards() == wanted


def test_cards_are_named_as_nvidia_names_them_for_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that two jobs that both call their card 0 lock two cards, and "0" and "GPU-..." of one card lock one."""
    (tmp_path / "nvidiactl").touch()
    monkeypatch.setattr(cards, "DRIVER", tmp_path / "nvidiactl")
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho GPU-aa\necho GPU-bb\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert visible_cards() == ("GPU-aa", "GPU-bb")
    for value, wanted in (("1", ("GPU-bb",)), ("1,GPU-aa", ("GPU-bb", "GPU-aa")), ("7", ("7",)), ("MIG-5", ("MIG-5",))):
        monkeypatch.setenv(VISIBLE, value)
        assert visible_cards() == wanted
    program.write_text("#!/bin/sh\necho no devices were found >&2\nexit 9\n")
    assert cards.names_for_good() == ()


def test_as_many_cards_as_are_needed_are_taken_together_and_none_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cards, "POLL_S", 0.05)
    with subprocess.Popen([sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"0\n"
        said: list[str] = []

        def say(line: str) -> None:
            said.append(line)
            with leased(("1",)) as mine:
                assert mine == ("1",), "the free card is not held while the other is waited for"
            holder.kill()

        with leased(("0", "1"), 2, say, least=2) as waited:
            assert waited == ("0", "1")
    assert said == [f"waiting: 2 of 2 cards are needed, and some are in use, by process {holder.pid}"]


MINE = """
world: {source: mini}
family: {op_max: 2, ip_max: 3, modulus: 5, op_law: uniform, split_by: problem}
tokens: {segmentation: phrase}
shards: {num_problems: 32, window: 128}
model: {layers: 1, heads: 2, head_width: 8}
training: {num_steps: 1, batch_windows: 4}
probes: {tasks: [nece, dep], num_steps: 1, num_problems: 8, slices: ["op<=max"]}
"""


@pytest.mark.parametrize(
    ("stage", "there", "jobs", "beside", "held"),
    [
        ("v_probes", 4, 8, 4, None),
        ("v_probes", 4, 3, 3, None),
        ("v_probes", 1, 8, None, "0"),
        ("checkpoint", 4, 8, None, "0,1,2,3"),
        ("generations", 4, 8, 4, None),
    ],
)
def test_units_of_a_stage_spread_over_the_cards_and_a_lone_training_takes_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, there: int, jobs: int, beside: int | None, held: str | None
) -> None:
    home = tmp_path / "home"
    (home / "experiments").mkdir(parents=True)
    (home / "experiments" / "mine.yaml").write_text(MINE)
    monkeypatch.setenv("IGSM_HOME", str(home))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    alone: list[str | None] = []
    spread: list[tuple[Sequence[str], int]] = []
    monkeypatch.setattr(runner, "visible_cards", lambda: FOUR[:there])
    monkeypatch.setattr(runner, "run_unit", lambda *_a, **_k: alone.append(os.environ.get(VISIBLE)))

    def spreads(_work: Any, *_items: Any, cards: Sequence[str], beside: int, patience_s: float) -> list[Any]:
        spread.append((cards, beside))
        return []

    monkeypatch.setattr(runner, "map_on_cards", spreads)
    member = find_member("mine")
    runner.run_units(member, stage, Store.at_home(), jobs=jobs)
    assert spread == ([] if beside is None else [(FOUR, beside)])
    assert set(alone) == (set() if held is None else {held})
    one = [unit for unit in units_of(member) if unit.stage == "checkpoint"]
    assert [STAGES["checkpoint"].cards(unit) for unit in one] == [0]


def test_a_training_of_so_many_processes_waits_for_as_many_cards_and_one_on_the_cpu_for_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    (home / "experiments").mkdir(parents=True)
    monkeypatch.setenv("IGSM_HOME", str(home))
    asked: list[tuple[int, int]] = []
    said: list[str] = []

    @contextmanager
    def lease(_cards: Sequence[str], most: int, _say: Any, *, least: int) -> Iterator[None]:
        asked.append((most, least))
        yield

    monkeypatch.setattr(runner, "leased", lease)
    monkeypatch.setattr(runner, "visible_cards", lambda: FOUR)
    monkeypatch.setattr(runner, "run_unit", lambda *_a, **_k: None)
    for training in ("processes: 2", "processes: 0", "device: cpu"):
        (home / "experiments" / "mine.yaml").write_text(MINE.replace("{num_steps: 1, ", f"{{num_steps: 1, {training}, "))
        runner.run_units(find_member("mine"), "checkpoint", Store.at_home(), jobs=1, say=said.append)
    assert asked == [(2, 2), (0, 1)]
    if not torch.cuda.is_available():
        assert len([line for line in said if "torch computes on the CPU" in line]) == 2, "nobody wonders why it takes so long"
