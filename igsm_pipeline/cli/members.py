"""Commands about members of experiments: run, plan, status, report, publish."""

from __future__ import annotations

import os
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from igsm_pipeline.cli.app import (
    AsJson,
    Deep,
    Members,
    Quiet,
    SomeMembers,
    Stages,
    app,
    complete_members,
    console,
    plans_of,
    print_json,
    refuse_idle,
)
from igsm_pipeline.cli.streams import be_quiet, is_quiet, remark
from igsm_pipeline.errors import BadInput, IgsmError, StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from igsm_pipeline.planning.planner import Plan
    from igsm_pipeline.planning.speeds import Speeds


class Place(StrEnum):
    """Where ``igsm run`` computes."""

    LOCAL = "local"
    RAY = "ray"


@app.command()
def run(
    members: Members,
    stages: Stages = None,
    deep: Deep = False,
    jobs: Annotated[int, typer.Option("--jobs", "-j", help="Processes where a stage can use several; 0: all cores.", min=0)] = 0,
    on: Annotated[
        Place | None,
        typer.Option("--on", help="Where it computes: local, here; ray, the cluster at IGSM_RAY_ADDRESS.", show_default="ray if that is set"),
    ] = None,
    quiet: Quiet = False,
) -> int:
    """Compute what is stale of members, through Dagster, so that the UI shows it. A fresh member that is not registered is registered.

    With IGSM_REMOTE, what other machines have finished is pulled first, and what is finished here is pushed.
    """
    if quiet:
        be_quiet()
    from igsm_pipeline.defs.tracking.notes import lacks_registration
    from igsm_pipeline.running.runner import JOBS, is_unfinished
    from igsm_pipeline.store import Store
    from igsm_pipeline.store.housekeeping import show_alterations
    from igsm_pipeline.store.remote import Remote

    plans, store = plans_of(members, stages, deep, inputs=True), Store.at_home()
    if (remote := Remote.from_environment()) is not None:
        from igsm_pipeline.running.sharing import synchronise

        if sum([synchronise(plan, store, remote, remark) for plan in plans]):
            plans = plans_of(members, stages, deep, inputs=True)
    computed = [plan for plan in plans if plan.stale or is_unfinished(plan.member, store)]
    nameless = [plan for plan in plans if plan not in computed and not stages and lacks_registration(plan)]
    wanted = [*computed, *nameless]
    on_ray = bool(wanted) and _goes_to_ray(on if computed else Place.LOCAL)
    for plan in plans:
        print_plan(plan, quiet=is_quiet())
        for unit in plan.stale if deep else ():
            show_alterations(store, unit)
    print_together(plans, quiet=is_quiet())
    for plan in nameless:
        remark(f"{plan.member.key}: its model is not registered yet; registering it computes nothing")
    code = 0
    if wanted:
        os.environ[JOBS] = str(jobs)
        from igsm_pipeline.defs.operating.launch import run_members

        code = run_members([plan.member.key for plan in wanted], stages, on_ray=on_ray)
    if code == 0:
        from igsm_pipeline.toolbox.headline import headline

        for plan in plans:
            for line in headline(plan.member, store):
                typer.echo(line)
    return code


def _goes_to_ray(on: Place | None) -> bool:
    """Whether a run computes on a Ray cluster, which then is there; if not, its steps, which read the environment, find no cluster in it.

    Raises:
        BadSettings: there is no such cluster, or what it takes is not installed.
    """
    from igsm_pipeline.defs.graph.executors import RAY_ADDRESS, check_cluster

    if on is Place.RAY or (on is None and os.environ.get(RAY_ADDRESS)):
        check_cluster()
        return True
    os.environ.pop(RAY_ADDRESS, None)
    return False


@app.command()
def plan(
    members: Members,
    stages: Stages = None,
    deep: Deep = False,
    on: Annotated[
        str | None,
        typer.Option("--on", help="What it would cost on other hardware, by its data sheet: h100 or 8xh100; nothing runs.", show_default="here"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a run would compute and why, with tokens, disk and time; refuse what exceeds the disk budget.

    With IGSM_REMOTE, also what it would pull instead.
    """
    from igsm_pipeline.planning.estimates import estimate_stages
    from igsm_pipeline.planning.preflight import check_plan
    from igsm_pipeline.planning.speeds import find_known
    from igsm_pipeline.store import Store

    other = find_known(on) if on is not None else None
    plans = plans_of(members, stages, deep, inputs=True)
    pulls = []
    for position, each in enumerate(plans):
        plans[position], told = _after_pulls(each)
        pulls.append(told)
        if told and not as_json:
            from igsm_pipeline.toolbox.console import format_bytes

            typer.echo(f"{each.member.key}: {told['units']} units, {format_bytes(told['bytes'])}, are pulled from {told['from']}")
        if not as_json:
            print_plan(plans[position], other=other)
    if not as_json:
        print_together(plans, other=other)
        return
    refusals = []
    store, documents = Store.at_home(), [plan_document(each) | ({"pulled": told} if told else {}) for each, told in zip(plans, pulls, strict=True)]
    speeds = other or (speeds_here() if any(each.stale for each in plans) else None)
    for each, document in zip(plans, documents, strict=True):
        document["cost"] = {stage: asdict(cost) for stage, cost in estimate_stages(each, store, speeds, corrected=other is None).items()}
        document["cost_basis"] = speeds.basis if speeds else ""
        try:
            check_plan(each, store, here=other is None)
        except IgsmError as error:
            document["refused"] = str(error)
            refusals.append(error)
    print_json(documents)
    if refusals:
        raise refusals[0]


def _after_pulls(plan: Plan) -> tuple[Plan, dict[str, Any]]:
    """A plan as it is once the units are pulled that other machines have finished; and how many these are, empty without any."""
    from igsm_pipeline.store import Store
    from igsm_pipeline.store.remote import Remote

    remote = Remote.from_environment()
    if remote is None:
        return plan, {}
    from igsm_pipeline.running.sharing import look_ahead

    ahead = look_ahead(plan, Store.at_home(), remote)
    return ahead.plan, {"units": len(ahead.pulls), "bytes": ahead.bytes, "from": remote.address} if ahead.pulls else {}


@app.command()
def status(members: SomeMembers = None, deep: Deep = False, as_json: AsJson = False) -> None:
    """List every member and how much of it is fresh; with members named, every unit of them."""
    from igsm_pipeline.experiments.experiment import Broken, find_members
    from igsm_pipeline.planning.planner import plan as make_plan
    from igsm_pipeline.planning.planner import usable_plans
    from igsm_pipeline.store import Store
    from igsm_pipeline.toolbox.console import status_table, unit_table

    store, broken = Store.at_home(), Broken()
    if as_json:
        chosen = [make_plan(member, store, deep=deep) for member in find_members(members)] if members else usable_plans(store, broken, deep=deep)
        print_json({"members": [plan_document(each) for each in chosen], "left_out": [str(error) for error in broken.values()]})
    elif members:
        for member in find_members(members):
            console().print(unit_table(make_plan(member, store, deep=deep)))
    else:
        console().print(status_table(usable_plans(store, broken, deep=deep)))
        for error in broken.values():
            typer.echo(f"left out: {error}", err=True)


@app.command()
def report(
    context: typer.Context,
    member: Annotated[str | None, typer.Argument(help="A member, an experiment with a grid, or with --claims a published folder.")] = None,
    show: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
    claims: Annotated[
        bool, typer.Option("--claims", help="Print its numbers as Markdown; without a member, write the pages anew that hold them.")
    ] = False,
) -> None:
    """Print the path of a member's report. For an experiment with a grid, write a page that compares its members, and print its path.

    With --claims alone, README.md and the pages below docs/ of this folder get their blocks of claims anew. With IGSM_REMOTE, the report of a
    member is pulled if another machine has it, and what the page of a grid compares.
    """
    if claims:
        refuse_idle(context, "with --claims", "show")
        _write_claims(member)
        return
    if member is None:
        raise BadInput("MEMBER", "must be given", "none", "`igsm status` lists all")
    from igsm_pipeline.toolbox.grid import find_report

    path, fresh = find_report(member, remark)
    if not fresh:
        typer.echo(f"this report is stale; `igsm plan {member}` says why", err=True)
    typer.echo(path)
    if show:
        typer.launch(path.as_uri())


def _write_claims(member: str | None) -> None:
    from igsm_pipeline.toolbox.claims import claims, holds_claims, rewrite_claims

    if member is not None:
        typer.echo(claims(member))
        return
    pages = [page for page in (Path("README.md"), *sorted(Path("docs").rglob("*.md"))) if page.is_file() and holds_claims(page)]
    if not pages:
        raise BadInput("--claims", "must find a block of claims in README.md or docs/", "none", "name a member, or go to the folder of the pages")
    for page in pages:
        number = rewrite_claims(page)
        typer.echo(f"{page}: {number} block{'s' * (number != 1)}")


@app.command()
def publish(
    member: Annotated[str, typer.Argument(help="A member.", autocompletion=complete_members)],
    out: Annotated[Path, typer.Option(help="The folder to be, or one that was published before.")],
) -> None:
    """Write a member's model, probes, results and report as one folder for the Hugging Face Hub, with a model card."""
    from igsm_pipeline.experiments.experiment import find_members
    from igsm_pipeline.store import Store
    from igsm_pipeline.toolbox.publishing import publish as publish_member

    found = find_members([member])
    if len(found) > 1:
        raise BadInput("MEMBER", "must be one member", member, f"name one of its {len(found)}, such as {found[0].key}")
    done = publish_member(found[0], Store.at_home(), out)
    for one in done.missing:
        typer.echo(f"missing: {one}", err=True)
    if done.missing:
        typer.echo(f"compute what is missing with `igsm run {found[0].key}`, then publish again", err=True)
    typer.echo(f"{done.folder} ({done.bytes / 1e6:.1f} MB)")


def plan_document(plan: Plan) -> dict[str, Any]:
    """A plan as JSON values: every unit and its state."""
    units = [
        {"stage": unit.stage, "unit": unit.name, "fingerprint": unit.fingerprint, "fresh": state.fresh, "reasons": list(state.reasons)}
        for unit, state in zip(plan.units, plan.freshness, strict=True)
    ]
    member = plan.member
    return {"member": member.key, "title": member.settings.title, "archived": member.archived, "fresh": not plan.stale, "units": units}


def speeds_here() -> Speeds | None:
    """This machine's speeds, measured now if they have not been; None if they cannot be measured."""
    from igsm_pipeline.planning.speeds import read_speeds, speeds_path, write_speeds
    from igsm_pipeline.store import find_home

    home = find_home()
    if (found := read_speeds(home)) is not None:
        return found
    remark("measuring how fast this machine is, some ten seconds, after an installation a minute, once (`igsm doctor --measure` does it again)")
    from igsm_pipeline.planning.measuring import measure_speeds

    speeds = measure_speeds()
    try:
        write_speeds(speeds, home)
    except (OSError, StoreError) as error:
        remark(f"the speeds cannot be kept in {speeds_path(home)}: {error}")
    return speeds


def print_together(plans: Sequence[Plan], *, quiet: bool = False, other: Speeds | None = None) -> None:
    """Print what several plans cost together, and refuse them if the disk cannot hold it; nothing of one plan. Arguments as for ``print_plan``.

    Raises:
        BadSettings: the disk is too small for all of them.
    """
    from igsm_pipeline.planning.estimates import check_free, estimate_together
    from igsm_pipeline.planning.speeds import read_speeds
    from igsm_pipeline.store import Store
    from igsm_pipeline.toolbox.console import tell_together

    plans = [plan for plan in plans if plan.stale]
    if len(plans) < 2:
        return
    store = Store.at_home()
    total = estimate_together(plans, store, other or read_speeds(store.root.parent), corrected=other is None)
    if not quiet:
        typer.echo(tell_together(plans, total))
    if other is None:
        check_free(total.bytes, store, "run fewer members at a time")


def print_plan(plan: Plan, *, quiet: bool = False, other: Speeds | None = None) -> None:
    """Print a plan, and refuse one that cannot be completed.

    Args:
        plan: what to print.
        quiet: print nothing; only check.
        other: the machine that the plan is for; None: this one, whose disk is then checked.

    Raises:
        BadInput, StoreError: the plan cannot be completed on this machine (disk budget, device, tokens, folder).
    """
    from igsm_pipeline.planning.estimates import estimate_stages
    from igsm_pipeline.planning.preflight import check_plan
    from igsm_pipeline.planning.speeds import busy, read_speeds
    from igsm_pipeline.store import Store
    from igsm_pipeline.toolbox.console import explain_costs, plan_table

    if not plan.stale and quiet:
        return
    if not plan.stale:
        typer.echo(f"{plan.member.key}: all {len(plan.units)} units are fresh")
        return
    store, refusal = Store.at_home(), None
    try:
        check_plan(plan, store, here=other is None)
    except IgsmError as error:
        refusal = error
    if not quiet:
        speeds = other or (speeds_here() if refusal is None else read_speeds(store.root.parent))
        costs = estimate_stages(plan, store, speeds, corrected=other is None)
        console().print(plan_table(plan, costs, on_gpu=speeds is not None and speeds.on_gpu))
        for line in explain_costs(costs, speeds):
            typer.echo(line)
        if other is None and speeds is not None and (longer := busy(speeds)) > 1:
            typer.echo(f"this machine is busy with other things: it may take {longer:.0f} times as long while it is")
    if refusal is not None:
        raise refusal
