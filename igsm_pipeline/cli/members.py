"""Commands about members of experiments: run, plan, status, report."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from igsm_pipeline.cli.app import Deep, Members, Stages, app, console, plans_of

if TYPE_CHECKING:
    from igsm_pipeline.planning.planner import Plan


@app.command()
def run(
    members: Members,
    stages: Stages = None,
    deep: Deep = False,
    jobs: Annotated[int, typer.Option("--jobs", "-j", help="Processes where a stage can use several; 0: all cores.", min=0)] = 0,
) -> int:
    """Compute what is stale of members, through Dagster, so that the UI shows it."""
    from igsm_pipeline.running.runner import JOBS, is_unfinished
    from igsm_pipeline.store import Store
    from igsm_pipeline.store.housekeeping import show_alterations

    plans, store = plans_of(members, stages, deep), Store.at_home()
    wanted = [plan for plan in plans if plan.stale or is_unfinished(plan.member, store)]
    for plan in plans:
        print_plan(plan)
        for unit in plan.stale if deep else ():
            show_alterations(store, unit)
    if not wanted:
        return 0
    os.environ[JOBS] = str(jobs)
    from igsm_pipeline.defs.operating.launch import run_members

    return run_members([plan.member.key for plan in wanted], stages)


@app.command()
def plan(members: Members, stages: Stages = None, deep: Deep = False) -> None:
    """Show what a run would compute and why, with tokens, disk and time; refuse what exceeds the disk budget."""
    for each in plans_of(members, stages, deep):
        print_plan(each)


@app.command()
def status(members: Annotated[list[str] | None, typer.Argument(show_default=False)] = None, deep: Deep = False) -> None:
    """List every member and how much of it is fresh; with members named, every unit of them."""
    from igsm_pipeline.experiments.experiment import Broken, find_members
    from igsm_pipeline.planning.planner import plan as make_plan
    from igsm_pipeline.planning.planner import usable_plans
    from igsm_pipeline.store import Store
    from igsm_pipeline.toolbox.console import status_table, unit_table

    store = Store.at_home()
    if members:
        for member in find_members(members):
            console().print(unit_table(make_plan(member, store, deep=deep)))
    else:
        broken: Broken = {}
        console().print(status_table(usable_plans(store, broken, deep=deep)))
        for error in broken.values():
            typer.echo(f"left out: {error}", err=True)


@app.command()
def report(
    member: Annotated[str, typer.Argument(help="A member, or an experiment with a grid.")],
    show: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
) -> None:
    """Print the path of a member's report; of an experiment with a grid, of a page with its members side by side, written anew."""
    from igsm_pipeline.toolbox.grid import find_report

    path, fresh = find_report(member)
    if not fresh:
        typer.echo(f"this report is stale; `igsm plan {member}` says why", err=True)
    typer.echo(path)
    if show:
        typer.launch(path.as_uri())


def print_plan(plan: Plan) -> None:
    """Print a plan; raises BadInput or StoreError where it cannot come to its end on this machine (disk budget, device, tokens, folder)."""
    from igsm_pipeline.planning.estimates import estimate_stages
    from igsm_pipeline.planning.preflight import check_plan
    from igsm_pipeline.store import Store
    from igsm_pipeline.toolbox.console import plan_table

    if not plan.stale:
        typer.echo(f"{plan.member.key}: all {len(plan.units)} units are fresh")
        return
    store = Store.at_home()
    console().print(plan_table(plan, estimate_stages(plan, store)))
    check_plan(plan, store)
