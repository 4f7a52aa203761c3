"""Many tokens as shards on disk, as ``igsm run`` writes them: time, bytes, peak memory.

    python benchmarks/shards.py FOLDER --tokens 1e9 --workers 2     (resumes what an earlier run of it left in FOLDER)
    python benchmarks/shards.py FOLDER --tokens 2e6 --workers 2 --check

``--check`` then writes the same again with one process and compares every byte. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from igsm_pipeline.problems import ProblemSetSettings, family_by_name, generate_block
from igsm_pipeline.problems.write import write_problem_set
from igsm_pipeline.store import Writing
from igsm_pipeline.tokens import ShardSettings, build_table, emit
from igsm_pipeline.tokens.write import write_shards
from igsm_pipeline.world import load_world
from igsm_pipeline.world.settings import WorldSettings
from igsm_pipeline.world.write import write_world

WINDOWS = {"med": 768, "hard": 1024}
EVERY_S = 0.25  # between two looks at the memory


def settings_for(family_name: str, tokens: float) -> tuple[ProblemSetSettings, ShardSettings]:
    """Settings whose shards hold about so many tokens, by the mean length of a first block."""
    family, world = family_by_name(family_name), load_world("igsm")
    shards = ShardSettings(family=family, window=WINDOWS[family_name])
    first = generate_block(ProblemSetSettings(family=family, num_problems=4096), world, 0)
    lengths = emit(first, build_table(world, family.modulus, shards.tokens), family.format).lengths
    mean = lengths[lengths < shards.window].sum() / len(lengths)
    return ProblemSetSettings(family=family, num_problems=int(tokens / mean) + 1), shards


def write(folder: Path, problems: ProblemSetSettings, shards: ShardSettings, workers: int) -> dict[str, object]:
    """Write world, problems and shards below a folder; says how long each took, and what the shards count."""
    folders = {part: folder / part for part in ("world", "problems", "shards")}
    for each in folders.values():
        each.mkdir(parents=True, exist_ok=True)
    writing = {part: Writing(path, True) for part, path in folders.items()}
    write_world(WorldSettings(), {}, writing["world"])
    seconds = {}
    begun = time.perf_counter()
    write_problem_set(problems, folders, writing["problems"], workers=workers)
    seconds["problems"] = time.perf_counter() - begun
    begun = time.perf_counter()
    write_shards(shards, folders, writing["shards"], workers=workers)
    seconds["shards"] = time.perf_counter() - begun
    sizes = {part: sum(file.stat().st_size for file in folders[part].rglob("*.parquet")) for part in ("problems", "shards")}
    return {"seconds": {part: round(value, 1) for part, value in seconds.items()}, "bytes": sizes, **writing["shards"].counts}


class PeakMemory:
    """The memory that this process and all its children hold at one time: ``mib`` is the largest that was seen, ``samples`` how often it looked.

    PSS, where a page that several processes share counts once in all; a sum of resident sets would count every library once per process. Linux only.
    """

    def __init__(self) -> None:
        self.mib, self.samples = 0, 0
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._watch.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        self._watch.join()

    def _look(self) -> None:
        while not self._over.wait(EVERY_S):
            own = psutil.Process()
            held = sum(_pss(process) for process in [own, *own.children(recursive=True)])
            self.mib = max(self.mib, held >> 20)
            self.samples += 1


def _pss(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:  # it ended meanwhile
        return 0


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every Parquet file below a folder."""
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.rglob("*.parquet"))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--family", choices=WINDOWS, default="med")
    parser.add_argument("--tokens", type=float, default=1e9)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    problems, shards = settings_for(options.family, options.tokens)
    with PeakMemory() as peak:
        row = {"family": options.family, "workers": options.workers, **write(options.folder, problems, shards, options.workers)}
    one, children = (resource.getrusage(who).ru_maxrss // 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    row["peak_memory_mib"] = {"all at one time": peak.mib, "samples": peak.samples, "this process": one, "largest worker": children}
    row["load"] = round(os.getloadavg()[0], 1)
    if options.check:
        with tempfile.TemporaryDirectory() as again:
            write(Path(again), problems, shards, 1)
            row["same_as_one_process"] = digests(options.folder) == digests(Path(again))
    print(json.dumps(row))
    sys.exit(0 if row.get("same_as_one_process", True) else 1)


if __name__ == "__main__":
    main()
