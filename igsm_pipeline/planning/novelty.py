"""Explains why a unit has never been computed: how it differs from the most similar finished unit.

A unit's fingerprint changes with its settings, so the store alone can only say "never computed". This module says what was changed: the
difference from the most similar finished unit of the same stage and name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from igsm_pipeline.errors import StoreError
from igsm_pipeline.store import MANIFEST, Store, Unit, read_manifest

MOST_DIFFERENCES = 4
"""Units that differ in more settings are not taken for versions of each other. Ours."""


def explain_new(unit: Unit, store: Store) -> tuple[str, ...]:
    """List what changed since the most similar finished unit of the same stage and name; empty if there is none."""
    folder = store.root / unit.stage
    if not folder.is_dir():
        return ()
    new, candidates = dict(_leaves(json.loads(json.dumps(dict(unit.settings))))), []
    for manifest, old in _finished(folder, folder.stat().st_mtime_ns).get(unit.name, ()):
        found = tuple(islice(_differences(unit, new, manifest, old), MOST_DIFFERENCES + 1))
        if 0 < len(found) <= MOST_DIFFERENCES:
            candidates.append((-len(found), str(manifest.get("finished", "")), found))
    return max(candidates)[2] if candidates else ()


@lru_cache(maxsize=32)
def _finished(folder: Path, _mtime_ns: int) -> dict[str, list[tuple[Mapping[str, Any], dict[str, str]]]]:
    """The manifests of a stage's folder and their settings as leaves, by unit name; read again when a unit is added or removed."""
    found: dict[str, list[tuple[Mapping[str, Any], dict[str, str]]]] = {}
    for path in sorted(folder.glob(f"*/{MANIFEST}")):
        if "." in path.parent.name:
            continue
        try:
            manifest = read_manifest(path.parent)
        except StoreError:
            continue
        kept = {key: manifest.get(key) for key in ("version", "inputs", "finished")}
        found.setdefault(str(manifest.get("name")), []).append((kept, dict(_leaves(manifest["settings"]))))
    return found


def _differences(unit: Unit, new: Mapping[str, str], manifest: Mapping[str, Any], old: Mapping[str, str]) -> Iterator[str]:
    if manifest["version"] != unit.version:
        yield f"VERSION changed from {manifest['version']} to {unit.version}"
    for key in sorted(new.keys() | old.keys()):
        if new.get(key, _ABSENT) != old.get(key, _ABSENT):
            yield f"setting {key} changed from {old.get(key, _ABSENT)} to {new.get(key, _ABSENT)}"
    for role in sorted(unit.inputs.keys() | manifest["inputs"].keys()):
        source, before = unit.inputs.get(role), manifest["inputs"].get(role)
        if source is None or before is None:
            yield f"input {role} {'is gone' if source is None else 'is new'}"
        elif source.fingerprint != before["fingerprint"]:
            yield f"input {role} changed ({source.stage} {source.name})"


_ABSENT = "absent"


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, json.dumps(value)
