"""A unit's manifest: what it was made from and what it holds, as JSON beside its files."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath
from typing import Any

from igsm_pipeline.errors import StoreError
from igsm_pipeline.settings import LARGEST, hash_json

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
        return parse_manifest(path.read_bytes(), path)
    except FileNotFoundError:
        raise StoreError(f"{path} must exist for the unit to be used; run its stage") from None
    except PermissionError:
        raise StoreError(f"manifest {path} cannot be read: permissions; let its owner change them") from None
    except OSError as error:
        raise StoreError(f"manifest {path} cannot be read ({error}); rerun the stage to rebuild it") from None


def parse_manifest(data: bytes, path: Path | str) -> dict[str, Any]:
    """The manifest in the bytes of its file.

    Args:
        data: the bytes.
        path: where they are from, for the message.

    Raises:
        StoreError: they are damaged.
    """
    try:
        manifest = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise StoreError(f"manifest {path} cannot be read ({error}); rerun the stage to rebuild it") from None
    wrong = f"it is nested more than {DEEPEST} levels deep" if _is_deeper(manifest, DEEPEST) else _wrong_field(manifest)
    if wrong:
        raise StoreError(f"manifest {path} is not a manifest ({wrong}); rerun the stage to rebuild it")
    checked: dict[str, Any] = manifest
    return checked


_FIELDS: Mapping[str, tuple[type, ...]] = {
    "stage": (str,), "name": (str,), "version": (int,), "settings": (dict,), "inputs": (dict,), "content": (str,), "files": (dict,),
    "counts": (dict,), "bytes": (int,), "seconds": (int, float), "finished": (str,),
}  # fmt: skip
_ENTRIES: Mapping[str, Mapping[str, tuple[type, ...]]] = {
    "files": {"bytes": (int,), "mtime_ns": (int,), "sha256": (str,)},
    "inputs": {"fingerprint": (str,), "content": (str,)},
}
_ADDRESS, _STAGE = re.compile("[0-9a-f]{20}"), re.compile("[a-z_]{1,100}")
"""What the folders of units and of stages are called. Inputs are looked up by these names."""


DEEPEST = 50
"""Ours: levels of a manifest. Its own are fewer than ten; what Python reads at one depth of its stack it may not be able to write at another."""


def _is_deeper(value: Any, most: int) -> bool:
    """Whether lists and mappings are nested more than ``most`` levels deep."""
    if not isinstance(value, dict | list):
        return False
    return most == 0 or any(_is_deeper(one, most - 1) for one in (value.values() if isinstance(value, dict) else value))


def _is_a(value: Any, kinds: tuple[type, ...]) -> bool:
    """Whether a value is of a kind, and a number that tables and clocks hold."""
    return isinstance(value, kinds) and not (isinstance(value, int | float) and not abs(value) <= LARGEST)


def _is_within(name: str) -> bool:
    """Whether a file's name leads to a place below its folder, as far as the name alone says."""
    parts = PurePosixPath(name).parts
    return bool(parts) and not name.startswith("/") and ".." not in parts and name.isprintable()


def _wrong_field(manifest: Any) -> str:
    """The first field of what was read that is missing or of another kind than every reader takes it to be; empty: none is."""
    if not isinstance(manifest, dict):
        return f"it is a {type(manifest).__name__}"
    for name, kinds in _FIELDS.items():
        if not _is_a(manifest.get(name), kinds):
            return f"its {name} is {'missing' if name not in manifest else _shown(manifest[name])}"
    for name, fields in _ENTRIES.items():
        for key, entry in manifest[name].items():
            if not isinstance(entry, dict) or not all(_is_a(entry.get(field), kinds) for field, kinds in fields.items()):
                return f"its {name} hold no {', '.join(fields)} for {key!r}"
    try:
        fingerprint_of(manifest)
    except ValueError:
        return "its settings hold a number that is none"
    return _wrong_name(manifest)


def _wrong_name(manifest: Mapping[str, Any]) -> str:
    """The first name of a manifest that leads to no unit of a store, or to no file of the unit; empty: none does."""
    for role, entry in manifest["inputs"].items():
        if not _ADDRESS.fullmatch(entry["fingerprint"]) or not _STAGE.fullmatch(str(entry.get("stage", "none"))):
            return f"its inputs name for {role[:80]!a} no unit of a store"
    return next((f"its files name {name[:80]!a}, which is no file of its folder" for name in manifest["files"] if not _is_within(name)), "")


def _shown(value: Any) -> str:
    """A value of the wrong kind: numbers as they are, of others the kind."""
    return f"{value:.3g}" if isinstance(value, float) else "too large" if type(value) is int else type(value).__name__


CHECKSUM = "checksum"
_LATER = "code"
"""A field that came after the checksum: a manifest that has it was written with a checksum."""


def checksum_of(manifest: Mapping[str, Any]) -> str:
    """SHA-256 over everything that a manifest says beside its own checksum: counts, seconds and libraries as well as files."""
    rest = {key: value for key, value in manifest.items() if key != CHECKSUM}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def is_altered(manifest: Mapping[str, Any]) -> bool:
    """Whether a manifest says other things than when it was written; one of before there were checksums is judged by its files alone."""
    has_one = CHECKSUM in manifest or _LATER in manifest
    return manifest["content"] != content_of(manifest["files"]) or (has_one and manifest.get(CHECKSUM) != checksum_of(manifest))


def fingerprint_of(manifest: Mapping[str, Any]) -> str:
    """The address that a manifest's own account gives: what ``Unit.fingerprint`` was when it was written."""
    inputs = {role: entry["fingerprint"] for role, entry in manifest["inputs"].items()}
    return hash_json([manifest["stage"], manifest["version"], manifest["settings"], inputs])


def content_of(files: Mapping[str, Mapping[str, Any]]) -> str:
    """The content hash of a unit: over the names and SHA-256 of its files, ``CLOCK`` aside, so that equal work done at another pace is equal."""
    return hash_json({name: entry["sha256"] for name, entry in files.items() if name != CLOCK})
