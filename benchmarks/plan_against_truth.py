"""What a plan said of each stage on a machine that had run nothing, and what the stage then took: an empty data root, measured speeds, every stage.

    python -m benchmarks.plan_against_truth [MEMBER] [--experiment FILE] [--jobs 0]

MEMBER is built in (default: mini), or declared by ``--experiment FILE``, an experiment file. The data root is a temporary folder and is removed.
The truth is by the clock, start of the stage's process included, one stage after another, on all cores. A ratio is truth / middle of the range. Load
of other work is no part of a plan, so run this on an idle machine; the load is printed. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from igsm_pipeline.experiments import find_member
from igsm_pipeline.planning.estimates import estimate_stages
from igsm_pipeline.planning.measuring import measure_speeds
from igsm_pipeline.planning.planner import plan
from igsm_pipeline.planning.speeds import write_speeds
from igsm_pipeline.running.child import stage_command
from igsm_pipeline.store import Store
from igsm_pipeline.store.origin import own_revision, processor_name

Row = dict[str, object]


def measure(name: str, home: Path) -> list[Row]:
    """A row per stage: planned seconds and their range, seconds that it took, the ratio, whether the range holds it, load before it."""
    store = Store.at_home()
    speeds = measure_speeds()
    write_speeds(speeds, home)
    planned = estimate_stages(plan(find_member(name), store), store, speeds)
    rows = []
    for stage, cost in planned.items():
        load, started = os.getloadavg()[0], time.monotonic()
        done = subprocess.run(stage_command(name, stage), capture_output=True, text=True, check=False)
        taken = time.monotonic() - started
        if done.returncode != 0:
            raise SystemExit(f"{stage} ended with status {done.returncode}: {done.stderr[-2000:]}")
        inside = cost.low <= taken <= cost.high
        rows.append(
            {
                "stage": stage,
                "low": cost.low,
                "planned": cost.seconds,
                "high": cost.high,
                "taken": taken,
                "ratio": taken / cost.seconds,
                "inside": inside,
                "load": load,
            }
        )
        print(
            f"{stage:<20}{cost.low:>9.1f} to {cost.high:<9.1f}{taken:>9.1f}{taken / cost.seconds:>8.2f}{'yes' if inside else 'no':>6}{load:>7.1f}",
            flush=True,
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("member", nargs="?", default="mini")
    parser.add_argument("--experiment", type=Path, help="a file that declares the member")
    parser.add_argument("--jobs", type=int, default=0, help="cores; 0: all")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "experiments").mkdir()
        if options.experiment is not None:
            shutil.copy(options.experiment, home / "experiments")
        os.environ |= {"IGSM_HOME": folder, "IGSM_JOBS": str(options.jobs)}
        os.environ.pop("IGSM_EXPERIMENTS", None)
        print(f"{'stage':<20}{'planned s':>21}{'took s':>9}{'ratio':>8}{'in':>6}{'load':>7}", flush=True)
        rows = measure(options.member, home)
    sums = {key: sum(float(str(row[key])) for row in rows) for key in ("low", "planned", "high", "taken")}
    print(f"{'all':<20}{sums['low']:>9.1f} to {sums['high']:<9.1f}{sums['taken']:>9.1f}{sums['taken'] / sums['planned']:>8.2f}")
    told = {
        "member": options.member,
        "commit": own_revision(),
        "processor": processor_name(),
        "python": sys.version.split()[0],
        "stages": rows,
        "all": sums,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
