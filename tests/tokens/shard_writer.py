"""A problem set and its shards, small and in many files; run as a script with a folder and a number of workers, it writes both there."""

from __future__ import annotations

import sys
from pathlib import Path

from igsm_pipeline.problems import FamilySettings, ProblemSetSettings
from igsm_pipeline.problems.write import write_problem_set
from igsm_pipeline.store import Writing
from igsm_pipeline.tokens import ShardSettings, TokenSettings
from igsm_pipeline.tokens.write import write_shards
from igsm_pipeline.world.settings import WorldSettings
from igsm_pipeline.world.write import write_world

FAMILY = FamilySettings(op_max=8, ip_max=12)
PROBLEMS = ProblemSetSettings(family=FAMILY, num_problems=12_000, block_size=50, seed=11)
SHARDS = ShardSettings(family=FAMILY, tokens=TokenSettings(segmentation="phrase"), window=256, problems_per_shard=450)
NUM_FILES = 15 + 27


def write(root: Path, workers: int) -> None:
    """Write (or go on writing) everything below ``root``."""
    folders = {part: root / part for part in ("world", "problems", "shards")}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    write_world(WorldSettings(), {}, Writing(folders["world"], False))
    write_problem_set(PROBLEMS, folders, Writing(folders["problems"], True), workers=workers)
    write_shards(SHARDS, folders, Writing(folders["shards"], True), workers=workers)


def written_files(root: Path) -> dict[str, bytes]:
    """Content of every problem file and shard, by path."""
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*.parquet"))}


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]))
