"""What two stores hold, file by file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

CLOCKED = ("/clock.jsonl", "/report.html")
"""Files that tell the time: tokens per second of training, seconds per stage in report.html."""


def files(home: Path) -> dict[str, str]:
    """path below the store -> SHA-256, from the manifests, of every stage."""
    found = {}
    for path in sorted((home / "store").glob("*/*/manifest.json")):
        for name, entry in json.loads(path.read_text())["files"].items():
            found[f"{path.parent.parent.name}/{path.parent.name}/{name}"] = entry["sha256"]
    return found


def same_but_for_the_clock(home: Path, other: Path, stages: Iterable[str]) -> None:
    """Assert that two stores hold the same files of these stages and no others, those that tell the time aside with the same content."""
    ours, theirs = files(home), files(other)
    assert ours.keys() == theirs.keys()
    assert {name.split("/")[0] for name in ours} == set(stages)
    assert {name for name in ours if ours[name] != theirs[name] and not name.endswith(CLOCKED)} == set()
