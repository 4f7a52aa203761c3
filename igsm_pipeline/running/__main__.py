"""``python -m igsm_pipeline.running run MEMBER --stage STAGE [--unit NAME] [--jobs N]``: compute without Dagster.

Progress goes to stderr. The last line of stdout is one JSON object: ``{"member", "stage", "computed", "hit", "pulled", "seconds", "units": [...]}``.
Exit codes: 0 done (or nothing to do), 1 a fault in the program, 2 refused (bad settings, stale input, full disk), 75 a fault that may disappear (try
again), 130 / 143 / 129 stopped by SIGINT / SIGTERM / SIGHUP.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence

from igsm_pipeline.errors import BadSettings, IgsmError, StageFailed
from igsm_pipeline.experiments.experiment import Member, find_members
from igsm_pipeline.planning.flow import STAGES, find_stage, units_of
from igsm_pipeline.planning.planner import find_unit, plan, stages_of
from igsm_pipeline.planning.preflight import check_plan
from igsm_pipeline.processes.pools import usable_cores
from igsm_pipeline.processes.stopping import STATE_PATIENCE_S, hear_stops, heard_stop, leave, stop_code
from igsm_pipeline.running.cards import visible_cards
from igsm_pipeline.running.child import SHOWS_PROGRESS, run_command
from igsm_pipeline.running.faults import DONE, exit_code
from igsm_pipeline.running.judging import judge, stop_at_failures
from igsm_pipeline.running.runner import COMPUTED, HIT, PULLED, run_units
from igsm_pipeline.stage import StageUnits
from igsm_pipeline.store import Store

YIELDING = 10
"""Added to the niceness of a process that makes data on all cores, so that a training beside it keeps its speed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m igsm_pipeline.running", description="Compute the stale units of a member, without Dagster.")
    run = parser.add_subparsers(required=True, metavar="run").add_parser("run", help="compute what is stale of a member")
    run.add_argument("member", nargs="+", help="member or experiment")
    run.add_argument("--stage", action="append", help="only this stage; may be given several times (default: every stage in order)")
    run.add_argument("--unit", help="only the unit of this name; takes one --stage")
    run.add_argument("--jobs", type=int, default=1, help="processes where a stage can use several; 0 for all cores (default: 1)")
    run.add_argument(
        "--checks", choices=("stop", "note"), default="stop", help="if a blocking check fails: stop, or only note it for a caller that shows it"
    )
    options = parser.parse_args(arguments)
    if arguments is None and options.stage and all(name in STAGES and STAGES[name].yields for name in options.stage):
        os.nice(YIELDING)  # this process computes these stages and nothing else
    if SHOWS_PROGRESS not in os.environ and not sys.stderr.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")  # progress bars are for terminals
    with hear_stops():
        code = _compute(options)
        if number := heard_stop():
            print(f"stopped by {signal.Signals(number).name}; what was done is kept and a rerun resumes it", file=sys.stderr)
            return stop_code(number)
    return code


def _compute(options: argparse.Namespace) -> int:
    try:
        store = Store.at_home()
        work = [(member, stage) for member in find_members(options.member) for stage in _stages(member, options.stage, options.unit)]
        if options.unit is None and options.checks == "stop":  # a caller that notes checks has looked at the whole plan already
            for member in find_members(options.member):
                check_plan(plan(member, store, options.stage), store)
        apart = len(work) > 1 and bool(visible_cards())
        for member, stage in work:
            if heard_stop():
                return stop_code(heard_stop())
            if apart and STAGES[stage].torch:
                run_command(_command(member, stage, options), stdout=None, grace_s=STATE_PATIENCE_S)
            else:
                print(json.dumps(_run(member, stage, store, options.unit, options.jobs or usable_cores(), options.checks)), flush=True)
    except IgsmError as error:
        if heard_stop():
            return stop_code(heard_stop())
        if isinstance(error, StageFailed) and error.__cause__ is not None:
            traceback.print_exception(error.__cause__)
        print(error, file=sys.stderr)
        return exit_code(error)
    except KeyboardInterrupt:
        return stop_code(heard_stop() or signal.SIGINT)
    return DONE


def _command(member: Member, stage: str, options: argparse.Namespace) -> list[str]:
    """The command for one stage in a process of its own: a process that has used a GPU once keeps it, whatever it leases later."""
    own = [sys.executable, "-m", "igsm_pipeline.running", "run", member.key, "--stage", stage]
    return [*own, "--jobs", str(options.jobs), "--checks", options.checks, *(["--unit", options.unit] if options.unit else [])]


def _stages(member: Member, named: Sequence[str] | None, unit: str | None) -> list[str]:
    stages = [find_stage(name).name for name in named or ()]
    if unit is not None:
        if len(stages) != 1:
            raise BadSettings("--unit", "needs exactly one --stage", ", ".join(stages) or "none", f"name the stage of the unit {unit!r}")
        find_unit(member, stages[0], unit)
    return stages or stages_of(units_of(member))


def _run(member: Member, stage: str, store: Store, unit: str | None, jobs: int, checks: str) -> dict[str, object]:
    started = time.monotonic()
    results = run_units(member, stage, store, unit_name=unit, jobs=jobs, say=lambda line: print(line, file=sys.stderr, flush=True))
    if unit is None:
        units = tuple(one for one in units_of(member) if one.stage == stage)
        stale = {one: result.reasons for one, result in zip(units, results, strict=True) if result.state == COMPUTED}
        outcomes = judge(StageUnits(find_stage(stage), store, units, stale))
        if checks == "stop":
            stop_at_failures(outcomes, find_stage(stage))
    return {
        "member": member.key,
        "stage": stage,
        "computed": sum(result.state == COMPUTED for result in results),
        "hit": sum(result.state == HIT for result in results),
        "pulled": sum(result.state == PULLED for result in results),
        "seconds": round(time.monotonic() - started, 3),
        "units": [result.document() for result in results],
    }


if __name__ == "__main__":
    code = main()
    if heard_stop():
        leave(code)
    sys.exit(code)
