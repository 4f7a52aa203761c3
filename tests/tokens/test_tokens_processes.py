"""Problem sets and shards are the same bytes whoever writes them: one process, two, or two that were killed on the way."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from shard_writer import NUM_FILES, PROBLEMS, write, written_files

from igsm_pipeline.problems import read_problems, regenerate
from igsm_pipeline.world import load_world

SEED = 11
SCRIPT = Path(__file__).with_name("shard_writer.py")
LONG_S = 300


def start_two_workers(root: Path) -> subprocess.Popen[bytes]:
    """Both stages with two workers each, in a process group of their own."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen([sys.executable, str(SCRIPT), str(root), "2"], env=environment, stderr=subprocess.DEVNULL, start_new_session=True)


def wait_until_gone(group: int) -> None:
    """Until no process of a group is left."""
    end = time.monotonic() + LONG_S
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise AssertionError("workers outlived their parent")


@pytest.fixture(scope="module")
def written_by_one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("one")
    write(root, 1)
    return root


def kill_and_resume(root: Path, num_kills: int, rng: random.Random) -> list[int]:
    """Start writing, kill -9 after a random number of further files, as often as asked; then let it finish. Returns the files at each kill."""
    found = []
    for kill in range(num_kills):
        process = start_two_workers(root)
        wanted = min(NUM_FILES - 1, len(written_files(root)) + rng.randrange(max(1, 2 * NUM_FILES // (num_kills + 1))))
        while process.poll() is None and len(written_files(root)) <= wanted:
            time.sleep(rng.random() / 100)
        found.append(len(written_files(root)))
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL) if kill % 2 == 0 else os.killpg(process.pid, signal.SIGKILL)
        process.wait(LONG_S)
        wait_until_gone(process.pid)
    process = start_two_workers(root)
    assert process.wait(LONG_S) == 0
    return found


def test_two_workers_killed_on_the_way_and_resumed_write_what_one_writes(written_by_one: Path, tmp_path: Path) -> None:
    print(f"seed {SEED}")
    found = kill_and_resume(tmp_path, 2, random.Random(SEED))
    assert 0 < found[0] < NUM_FILES
    assert written_files(tmp_path) == written_files(written_by_one)
    assert len(written_files(tmp_path)) == NUM_FILES
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.slow
def test_so_they_do_after_a_dozen_kills(written_by_one: Path, tmp_path: Path) -> None:
    print(f"seed {SEED + 1}")
    kill_and_resume(tmp_path, 12, random.Random(SEED + 1))
    assert written_files(tmp_path) == written_files(written_by_one)


def test_any_problem_of_a_written_set_is_made_again_from_its_key(written_by_one: Path) -> None:
    print(f"seed {SEED}")
    world = load_world(written_by_one / "world" / "world.json")
    records = read_problems(written_by_one / "problems", world, 23).records
    assert len(records) == PROBLEMS.num_problems
    for row in random.Random(SEED).sample(list(records), 200):
        (again,) = regenerate(PROBLEMS, world, int(row["block"]), int(row["draw"])).records
        again["slot"] = row["slot"]
        assert again == row
