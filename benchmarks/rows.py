"""`igsm generate --format jsonl` and `igsm verify`, rows per second and processor time per row, this code beside an older commit's, in one run.

    python -m benchmarks.rows [--rows 20000] [--rounds 3] [--jobs 2] [--old COMMIT]

Whole commands in processes of their own, new and old in turn, so that load on the machine meets both. Processor time is that of a command and all its
children; what the same command takes for a few rows (its start) is taken off, so it is per row however many rows there are. On a machine with other
work the wall clock says little and processor time is what to read. The old code runs from a `git worktree` in a temporary folder; both sides must
write the same bytes. The last line of each case is one JSON object.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
FEW = 64


class Cost(NamedTuple):
    """Seconds of one command."""

    wall: float
    processor: float


def cost_of(code: Path, *words: object) -> Cost:
    """Run `igsm` of some checkout."""
    environment = {**os.environ, "PYTHONPATH": str(code), "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
    before, begun = os.times(), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "igsm_pipeline.cli", *map(str, words)], cwd=code, env=environment, capture_output=True, text=True, check=False
    )
    wall, after = time.perf_counter() - begun, os.times()
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return Cost(wall, after.children_user + after.children_system - before.children_user - before.children_system)


@contextmanager
def checkout(commit: str, folder: Path) -> Iterator[Path]:
    """The code of a commit, beside this one."""
    place = folder / "old"
    subprocess.run(["git", "-C", ROOT, "worktree", "add", "--detach", place, commit], check=True, capture_output=True)
    try:
        yield place
    finally:
        subprocess.run(["git", "-C", ROOT, "worktree", "remove", "--force", place], check=True, capture_output=True)


def foreign_rows(lines: list[str], kind: str) -> Iterator[str]:
    """Rows as other people have them: four fields alone, half of them wrong, or typographic."""
    rng = random.Random(0)
    for line in lines:
        row = {name: json.loads(line)[name] for name in ("problem", "question", "solution", "answer")}
        if kind == "wrong" and rng.random() < 0.5:
            row["solution"] = row["solution"].replace(" = ", f" = {rng.randrange(23)} ", 1)
        elif kind == "typographic":
            row = {name: text.replace("'", "’").strip() for name, text in row.items()}
        yield json.dumps(row) + "\n"


def measure(title: str, sides: dict[str, Path], rows: int, rounds: int, words: dict[int, tuple[object, ...]], outs: dict[str, Path]) -> None:
    """Run a command for many and for few rows on every side in turn; print the medians."""
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in sides}
    for name, code in sides.items():
        cost_of(code, *words[FEW], "--out", outs[name])  # kernels are compiled and kept
    for _ in range(rounds):
        for name, code in sides.items():
            few, many = (cost_of(code, *words[count], "--out", outs[name]) for count in (FEW, rows))
            found[name].append((1e6 * (many.processor - few.processor) / (rows - FEW), rows / many.wall, many.processor))
        files = list(outs.values())
        assert all(filecmp.cmp(files[0], other, shallow=False) for other in files[1:]), "the two sides write other bytes"
    row: dict[str, object] = {"case": title, "rows": rows, "rounds": rounds, "load": round(os.getloadavg()[0], 1), "cores": os.cpu_count()}
    for name, values in found.items():
        per_row, by_wall, whole = (statistics.median(column) for column in zip(*values, strict=True))
        row[name] = {
            "processor_us_per_row": round(per_row, 1),
            "rows_per_s_of_two_free_cores": round(2e6 / per_row),
            "with_start_rows_per_s_of_two_free_cores": round(2 * rows / whole),
            "rows_per_s_by_the_clock": round(by_wall),
        }
    if len(found) > 1:
        ratios = [old[0] / new[0] for new, old in zip(found["new"], found["old"], strict=True)]
        row["times_as_fast"] = {"median": round(statistics.median(ratios), 2), "least": round(min(ratios), 2), "most": round(max(ratios), 2)}
    print(json.dumps(row), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--old", help="a commit to compare with")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder_name:
        folder = Path(folder_name)
        with checkout(options.old or "HEAD", folder) as old:
            sides = {"new": ROOT} | ({"old": old} if options.old else {})
            outs = {name: folder / f"{name}.jsonl" for name in sides}
            generate = {count: ("generate", "--num", count, "--seed", 3, "--jobs", options.jobs) for count in (FEW, options.rows)}
            measure("generate", sides, options.rows, options.rounds, generate, outs)
            lines = outs["new"].read_text(encoding="utf-8").splitlines(keepends=True)
            for kind in ("generated", "four fields", "wrong", "typographic"):
                files = {count: folder / f"{kind.replace(' ', '_')}_{count}.jsonl" for count in (FEW, options.rows)}
                for count, path in files.items():
                    path.write_text("".join(lines[:count] if kind == "generated" else foreign_rows(lines[:count], kind)), encoding="utf-8")
                verify = {count: ("verify", path, "--jobs", options.jobs) for count, path in files.items()}
                measure(f"verify, {kind}", sides, options.rows, options.rounds, verify, outs)


if __name__ == "__main__":
    main()
