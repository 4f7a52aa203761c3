"""Examines this machine, and whether the pipeline can run on it."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from igsm_pipeline.errors import IgsmError
from igsm_pipeline.experiments.experiment import Broken, load_members
from igsm_pipeline.planning.speeds import MEASURED_WIDTHS, read_speeds
from igsm_pipeline.processes.pools import usable_cores
from igsm_pipeline.store import LOCK, MANIFEST, PARTIAL, find_home, library_versions, lock_owner
from igsm_pipeline.store.objects import REMOTE
from igsm_pipeline.store.remote import Remote

PYTHONS = ((3, 11), (3, 13))
LEAST_FREE_BYTES = 2_000_000_000
_ASKED_FOR = "store/doctor"
"""An object that is never there: a storage that says so answers."""
PORTS = {"Dagster": 3000, "MLflow": 5000}


@dataclass(frozen=True)
class Finding:
    """One result: what was examined, what was found, and whether that is good."""

    what: str
    found: str
    good: bool = True


def examine() -> list[Finding]:
    """Examine Python, libraries, the data root, locks, experiments, the remote store, ports, the accelerator. A fault is a finding, no error."""
    python = sys.version_info[:2]
    checks: tuple[tuple[str, Callable[[], tuple[str, bool]]], ...] = (
        ("Python", lambda: (platform.python_version(), PYTHONS[0] <= python <= PYTHONS[1])),
        ("processor", lambda: (f"{usable_cores()} cores, {platform.machine()}", True)),
        ("libraries", lambda: (", ".join(f"{name} {number}" for name, number in library_versions().items()), True)),
        ("requirements", _requirements),
        ("data root", _data_root),
        ("store", _store),
        ("experiments", _experiments),
        ("remote", _remote),
        ("ports", _ports),
        ("accelerator", _accelerator),
        ("speed", _speed),
    )
    return list(_findings(checks))


def _findings(checks: tuple[tuple[str, Callable[[], tuple[str, bool]]], ...]) -> Iterator[Finding]:
    for what, look in checks:
        try:
            yield Finding(what, *look())
        except (IgsmError, ImportError, OSError) as error:
            yield Finding(what, str(error), good=False)


def _data_root() -> tuple[str, bool]:
    home = find_home()
    there = next(folder for folder in (home, *home.parents) if folder.is_dir())
    free = shutil.disk_usage(there).free
    return f"{home}, {free / 1e9:.1f} GB free{'' if _writable(there) else ', not writable'}", free >= LEAST_FREE_BYTES and _writable(there)


def _writable(folder: Path) -> bool:
    return os.access(folder, os.W_OK)


def _requirements() -> tuple[str, bool]:
    """Requirements of the package that this environment lacks, or has in another version."""
    packaging = importlib.import_module("packaging.requirements")
    try:
        asked = [packaging.Requirement(line) for line in requires("igsm_pipeline") or ()]
    except PackageNotFoundError:
        return "igsm_pipeline is not installed, it runs from a folder; versions are not compared", True
    wrong = []
    for one in asked:
        if one.marker is not None and not one.marker.evaluate({"extra": ""}):
            continue
        try:
            found = version(one.name)
        except PackageNotFoundError:
            wrong.append(f"{one} is missing")
            continue
        if not one.specifier.contains(found, prereleases=True):
            wrong.append(f"{one} is {found}")
    return "; ".join(wrong) + "; `make setup` installs the pinned ones" if wrong else "all as asked", not wrong


def _store() -> tuple[str, bool]:
    """Count units, those being written (and by which process), and those left half done."""
    root = find_home() / "store"
    units = sum(1 for _ in root.glob(f"*/*/{MANIFEST}"))
    half = [path for path in root.glob(f"*/*{PARTIAL}") if path.is_dir()]
    written = [f"{path.parent.name}/{path.stem} by process {owner}" for path in root.glob(f"*/*{LOCK}") if (owner := lock_owner(path)) is not None]
    parts = [f"{units} units"]
    if written:
        parts.append(f"being written: {', '.join(sorted(written))}")
    if len(half) > len(written):
        parts.append(f"{len(half) - len(written)} half done, which the next run resumes and `igsm gc` removes where no experiment asks for them")
    closed = _unreadable(root)
    if closed:
        parts.append(f"{len(closed)} files cannot be read: permissions (the first is {closed[0]}); let their owner change them")
    return "; ".join(parts), not closed


def _remote() -> tuple[str, bool]:
    """Whether the object storage that machines share units by answers; an error says why it does not, without names or keys."""
    remote = Remote.from_environment()
    if remote is None:
        return f"none; {REMOTE} is not set", True
    started = time.monotonic()
    remote.objects.read(_ASKED_FOR)
    return f"{remote.address} answers, in {time.monotonic() - started:.1f} s", True


def _unreadable(root: Path) -> list[Path]:
    """Files and folders of units that this user may not read."""
    closed: list[Path] = []

    def note(error: OSError) -> None:
        if isinstance(error, PermissionError):
            closed.append(Path(error.filename))

    for folder, _, names in os.walk(root, onerror=note):
        closed += [path for name in names if not name.endswith(LOCK) and not os.access(path := Path(folder, name), os.R_OK) and path.exists()]
    return closed


def _experiments() -> tuple[str, bool]:
    broken: Broken = {}
    members = load_members(broken)
    return "; ".join([f"{len(members)} members", *(f"left out: {error}" for error in broken.values())]), not broken


def _ports() -> tuple[str, bool]:
    """Whether `igsm ui` can start with its default ports."""
    taken = []
    for name, port in PORTS.items():
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                taken.append(f"{port} ({name}) is in use: `igsm ui` runs already, or takes another with --port and --mlflow-port")
    return "; ".join(taken) or f"{', '.join(map(str, PORTS.values()))} are free", True


def _speed() -> tuple[str, bool]:
    speeds = read_speeds(find_home())
    if speeds is None:
        return "not measured yet; the first `igsm plan` does, or `igsm doctor --measure`", True
    rates = ", ".join(f"{kind} {_both(points)} GFLOP/s" for kind, points in speeds.rates.items() if len(points) > 1)
    return f"{speeds.device}: {rates} at widths {' and '.join(map(str, MEASURED_WIDTHS))}; {speeds.basis}", True


def _both(points: Mapping[int, tuple[float, float]]) -> str:
    """The middle of each range, by width."""
    return " and ".join(f"{(low * high) ** 0.5 / 1e9:.3g}" for _width, (low, high) in sorted(points.items()))


def _accelerator() -> tuple[str, bool]:
    torch = importlib.import_module("torch")  # takes a second or two; only this check needs it
    if torch.cuda.is_available():
        return ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())), True
    return "Apple GPU" if torch.backends.mps.is_available() else f"none; torch {torch.__version__} on the processor", True
