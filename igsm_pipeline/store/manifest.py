"""A unit's manifest: what it was made from and what it holds, as JSON beside its files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from igsm_pipeline.errors import StoreError
from igsm_pipeline.settings import hash_json

MANIFEST = "manifest.json"
CLOCK = "clock.jsonl"  # rates of a stage that keeps them: checked like any file, but no part of a unit's content
_LIBRARIES = ("numpy", "numba", "pyarrow", "torch", "transformers", "safetensors", "pydantic")


def library_versions() -> dict[str, str]:
    """Versions of the libraries that results depend on, absent ones left out."""
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest in a unit folder.

    Raises:
        StoreError: it is missing or damaged.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text())
    except FileNotFoundError:
        raise StoreError(f"{path} must exist for the unit to be used; run its stage") from None
    except (ValueError, OSError) as error:
        raise StoreError(f"manifest {path} cannot be read ({error}); rerun the stage to rebuild it") from None
    if not isinstance(manifest, dict) or not {"stage", "version", "settings", "files", "content", "inputs", "counts"} <= manifest.keys():
        raise StoreError(f"manifest {path} is not a manifest; rerun the stage to rebuild it")
    return manifest


def fingerprint_of(manifest: Mapping[str, Any]) -> str:
    """The address that a manifest's own account gives: what ``Unit.fingerprint`` was when it was written."""
    inputs = {role: entry["fingerprint"] for role, entry in manifest["inputs"].items()}
    return hash_json([manifest["stage"], manifest["version"], manifest["settings"], inputs])


def content_of(files: Mapping[str, Mapping[str, Any]]) -> str:
    """The content hash of a unit: over the names and SHA-256 of its files, ``CLOCK`` aside, so that equal work done at another pace is equal."""
    return hash_json({name: entry["sha256"] for name, entry in files.items() if name != CLOCK})
