"""The speeds of a machine for each kind of work: measured once and kept under the data root, or a data sheet with an assumed efficiency.

Each kind of arithmetic has a speed per model width, because narrow models keep a processor waiting. ``planning.measuring`` measures a machine.

Ours: all of it.
"""

from __future__ import annotations

import json
import math
import os
import platform
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from igsm_pipeline.costs import DECODING, FITTING, FORWARD, PROBING, TRAINING
from igsm_pipeline.errors import NotFound
from igsm_pipeline.store import write_atomically

MEASURED_WIDTHS = (96, 768)
"""Widths of the networks that are timed: ``mini``'s, and the paper's."""
FOLDER = "speeds"
"""The folder below the data root that has one file per machine."""


@dataclass(frozen=True)
class Speeds:
    """The speeds of a machine.

    Attributes:
        machine: name of the machine.
        device: what computes: "cpu", or the name of a GPU.
        basis: where the numbers come from, in words.
        start: seconds that a stage's process takes to start.
        core: speed of one core; 1 is that of a common server.
        cores: number of cores.
        rates: kind of arithmetic -> width -> (low, high) floating-point operations per second; "training bf16" is used before "training" if a
            unit computes in bf16. On a CPU they are those of one core, except training, which uses all.
        memory: bytes of a GPU; 0 without one.
        cards: number of GPUs like it.
    """

    machine: str
    device: str
    basis: str
    start: float
    core: float
    cores: int
    rates: Mapping[str, Mapping[int, tuple[float, float]]]
    memory: float = 0.0
    cards: int = 1

    @property
    def on_gpu(self) -> bool:
        """Whether a GPU computes; as many units of a torch stage then run side by side as there are GPUs."""
        return self.memory > 0

    def rate(self, kind: str, width: int, precision: str) -> tuple[float, float]:
        """Least and most operations per second of a kind of arithmetic; between measured widths it interpolates by their logarithm."""
        points = sorted(self.rates.get(f"{kind} {precision}", self.rates[kind]).items())
        below = max((point for point in points if point[0] <= width), default=points[0])
        above = min((point for point in points if point[0] >= width), default=points[-1])
        if below[0] >= above[0]:
            return below[1] if width >= below[0] else above[1]
        share = math.log(width / below[0]) / math.log(above[0] / below[0])
        low, high = (math.exp((1 - share) * math.log(one) + share * math.log(other)) for one, other in zip(below[1], above[1], strict=True))
        return low, high


_BF16, _FP32 = 989e12, 67e12
"""Dense peak of an H100 SXM, operations per second. Source: NVIDIA's data sheet."""
_WIDE = 768


def _of_peak(peak: float, low: float, high: float) -> dict[int, tuple[float, float]]:
    """Rates from shares of a peak at width 768; at width 96 they are an eighth."""
    return {96: (peak * low / 8, peak * high / 8), _WIDE: (peak * low, peak * high)}


H100 = Speeds(
    machine="one H100",
    device="H100 SXM, 80 GB",
    basis="data sheet: 989 TFLOP/s in bf16, 67 in fp32, 80 GB. Assumed, not measured: training gets 20 to 45% of it, frozen models in fp32 40 to 70%,"
    " decoding 4 to 20%; a core as fast as a common server's, 16 of them",
    start=10.0,
    core=1.0,
    cores=16,
    rates={
        TRAINING: _of_peak(_FP32, 0.4, 0.7),
        f"{TRAINING} bf16": _of_peak(_BF16, 0.2, 0.45),
        f"{TRAINING} fp16": _of_peak(_BF16, 0.2, 0.45),
        PROBING: _of_peak(_FP32, 0.4, 0.7),
        f"{PROBING} bf16": _of_peak(_BF16, 0.15, 0.4),
        FORWARD: _of_peak(_FP32, 0.4, 0.7),
        f"{FORWARD} bf16": _of_peak(_BF16, 0.15, 0.4),
        DECODING: _of_peak(_FP32, 0.04, 0.2),
        FITTING: {_WIDE: (3e11, 1.5e12)},
    },
    memory=80e9,
)
TOGETHER = 0.8
"""Share of its pace that a card keeps where several train one model. Ours: assumed."""
EIGHT_H100 = replace(
    H100,
    machine="eight H100",
    device="8 x H100 SXM, 80 GB each",
    basis=f"{H100.basis.replace(', 16 of them', ', 128 of them')}; a training on all cards at {TOGETHER:.0%} of their pace, other units side by side",
    cores=128,
    cards=8,
)
KNOWN = {"h100": H100, "8xh100": EIGHT_H100}
"""Machines that a plan can be made for on another machine."""


def find_known(name: str) -> Speeds:
    """Find a known machine by name.

    Raises:
        NotFound: there is no machine of that name.
    """
    if name.lower() not in KNOWN:
        raise NotFound(f"no machine {name!r}: must be one of {', '.join(KNOWN)}; without --on a plan is for this machine")
    return KNOWN[name.lower()]


def busy(speeds: Speeds) -> float:
    """How many times longer work takes now than on an idle machine, judged by the load of the last minute; 1 if it is idle enough."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return max(1.0, (load + speeds.cores) / speeds.cores) if load >= speeds.cores / 2 else 1.0


def speeds_path(home: Path) -> Path:
    """The file of this machine's measured speeds."""
    return home / FOLDER / f"{re.sub(r'[^A-Za-z0-9._-]', '_', platform.node()) or 'machine'}.json"


def read_speeds(home: Path) -> Speeds | None:
    """Read this machine's measured speeds; None if there are none, or none that can be read."""
    try:
        found = json.loads(speeds_path(home).read_text(encoding="utf-8"))
        rates = {
            kind: {int(width): (float(low), float(high)) for width, (low, high) in points.items()} for kind, points in found.pop("rates").items()
        }
        return Speeds(rates=rates, **found)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def write_speeds(speeds: Speeds, home: Path) -> Path:
    """Write this machine's speeds; returns the file."""
    path = speeds_path(home)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(asdict(speeds), indent=1) + "\n").encode())
    return path
