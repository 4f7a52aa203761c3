"""Commands about what is stored and the machine: init, sql, ui, gc, export, import, push, pull, doctor."""

from __future__ import annotations

import shlex
import sys
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from igsm_pipeline.cli.app import AsJson, Members, TheseStages, app, console, plans_of, print_json, refuse_idle
from igsm_pipeline.cli.streams import remark

if TYPE_CHECKING:
    from igsm_pipeline.experiments.experiment import Broken
    from igsm_pipeline.store.housekeeping import Leftover
    from igsm_pipeline.store.remote import Remote


class TableFormat(StrEnum):
    """How ``sql`` prints."""

    table, csv, json = "table", "csv", "json"


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Made if need be; the working folder without it.", show_default=False)] = Path(),
) -> None:
    """Begin a project in a folder: dagster.yaml, workspace.yaml, data/experiments for your own experiments."""
    from igsm_pipeline.toolbox.project import begin_project

    begun = begin_project(folder)
    for word, names in (("wrote", begun.written), ("kept", begun.kept)):
        if names:
            typer.echo(f"{word} {', '.join(str(begun.folder / name) for name in names)}")
    typer.echo(f"data root {begun.home}\nnext: cd {shlex.quote(str(begun.folder))} && igsm run mini")


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="A query, of several statements the last is shown; without it the tables are listed.")] = "SHOW TABLES",
    out: Annotated[TableFormat, typer.Option("--format")] = TableFormat.table,
) -> None:
    """Ask DuckDB about everything in the store, read-only; docs/queries.md shows how."""
    from igsm_pipeline.catalog.catalog import ask, open_catalog, refresh_catalog
    from igsm_pipeline.store import find_home
    from igsm_pipeline.toolbox.console import result_lines

    home = find_home()
    if failure := refresh_catalog(home):
        typer.echo(f"answered from the catalog as it lies: {failure}", err=True)
    with open_catalog(home) as connection:
        for line in result_lines(ask(connection, query), out.value):
            typer.echo(line)


@app.command()
def ui(
    port: Annotated[int, typer.Option(help="Of Dagster's page.", min=1, max=65535)] = 3000,
    mlflow_port: Annotated[int, typer.Option(help="Of MLflow's page.", min=1, max=65535)] = 5000,
) -> int:
    """Start Dagster's and MLflow's pages on this machine; Ctrl-C stops them."""
    from igsm_pipeline.defs.operating.ui import run_ui
    from igsm_pipeline.processes.stopping import leave_stops_alone

    leave_stops_alone()  # it ends its servers in order
    return run_ui(port, mlflow_port)


@app.command()
def gc(
    context: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", help="Remove; without it only a list is printed.")] = False,
    checkpoints: Annotated[bool, typer.Option("--checkpoints", help="Remove trained checkpoints without asking once more.")] = False,
    reports: Annotated[
        bool, typer.Option("--reports", help="Also units behind reports of members that no experiment file declares any more.")
    ] = False,
    runs: Annotated[
        float | None, typer.Option("--runs", help="Also Dagster's runs older than these days.", min=0, max=36500, show_default=False)
    ] = None,
) -> None:
    """Remove units that no experiment refers to (units of archived experiments are kept), and old Dagster runs that are no asset's latest.

    What lies at IGSM_REMOTE is never removed.
    """
    from igsm_pipeline.store import Store
    from igsm_pipeline.toolbox.console import format_bytes
    from igsm_pipeline.toolbox.garbage import find_unwanted

    if not yes:
        refuse_idle(context, "without --yes", "checkpoints")
    store = Store.at_home()
    unwanted = find_unwanted(store, store.root.parent)
    garbage = [*unwanted.garbage, *(unwanted.held if reports else ())]
    for item in garbage:
        typer.echo(f"{format_bytes(item.bytes):>10}  {item.kind:<9}  {item.path.relative_to(store.root)}")
    if unwanted.held and not reports:
        typer.echo(
            f"kept {len(unwanted.held)} units of the reports of {', '.join(unwanted.members)}, which no known experiment file declares;"
            " --reports removes them, too"
        )
    for error in unwanted.broken.values() if not yes else ():
        typer.echo(f"left out: {error}", err=True)
    if yes:
        _remove(garbage, unwanted.broken, checkpoints)
    elif garbage:
        typer.echo(f"{len(garbage)} folders, {format_bytes(sum(item.bytes for item in garbage))}; `igsm gc --yes` removes them")
    else:
        typer.echo("no unit to remove")
    if runs is not None:
        from igsm_pipeline.defs.operating.instance import remove_runs

        typer.echo(f"{remove_runs(runs, yes=yes)} Dagster runs {'removed' if yes else 'to remove'}")


def _remove(garbage: list[Leftover], broken: Broken, checkpoints: bool) -> None:
    """Remove garbage, trained checkpoints only when they are meant; nothing while an experiment file cannot be read."""
    from igsm_pipeline.store.housekeeping import remove_garbage
    from igsm_pipeline.toolbox.console import format_bytes
    from igsm_pipeline.toolbox.garbage import TRAINED

    for error in broken.values():
        raise error
    trained = [item for item in garbage if item.path.parent.name in TRAINED]
    if trained and not checkpoints:
        question = f"{len(trained)} of these folders are checkpoints, trained or half trained. Remove them, too?"
        if not (sys.stdin.isatty() and typer.confirm(question)):
            garbage = [item for item in garbage if item not in trained]
            typer.echo(f"kept {len(trained)} checkpoints; --checkpoints removes them, too")
    removed = remove_garbage(garbage)
    typer.echo(f"removed {removed.folders} folders, {format_bytes(removed.bytes)}")
    for line in removed.kept:
        typer.echo(f"not removed: {line}", err=True)


@app.command()
def export(
    context: typer.Context,
    members: Members,
    out: Annotated[Path, typer.Option("--out", help="The file to write; with --readable, the folder.")],
    stages: TheseStages = None,
    readable: Annotated[bool, typer.Option("--readable", help="Problem sets alone, for other programs: texts beside the coded arrays.")] = False,
) -> None:
    """Write the finished units of members to one file, for another machine; or their problem sets with texts, for other programs."""
    from igsm_pipeline.store import Store

    if readable:
        refuse_idle(context, "with --readable", "stages")
    store = Store.at_home()
    units = [unit for each in plans_of(members, stages, False) for unit in each.units if not store.check_own(unit)]
    if readable:
        from igsm_pipeline.toolbox.readable import export_readable

        remark(f"{export_readable(store, units, out):,} problems in {out}")
        return
    from igsm_pipeline.store.archives import export_units

    remark(f"{export_units(store, units, out)} units in {out}")


@app.command(name="import")
def import_(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
    replace: Annotated[bool, typer.Option("--replace", help="Let units of other content take the place of those here.")] = False,
) -> None:
    """Take in units that `igsm export` wrote; every file is hashed before it is believed."""
    from igsm_pipeline.store import Store
    from igsm_pipeline.store.archives import import_units

    done = import_units(Store.at_home(), file, replace=replace)
    for label in done.kept:
        typer.echo(f"kept the unit here, whose content differs: {label}; --replace takes the imported one", err=True)
    remark(f"{len(done.added)} added, {len(done.present)} already here, {len(done.kept)} kept")


@app.command()
def push(members: Members, stages: TheseStages = None) -> None:
    """Put the finished units of members on the object storage of IGSM_REMOTE, for other machines; `igsm run` does so by itself."""
    from igsm_pipeline.running.sharing import push_units
    from igsm_pipeline.store import Store

    store, remote = Store.at_home(), _remote()
    units = [unit for each in plans_of(members, stages, False) for unit in each.units if not store.check_own(unit)]
    gone, present = push_units(list(dict.fromkeys(units)), store, remote, partial(typer.echo, err=True))
    remark(f"{gone} pushed, {present} already at {remote.address}")


@app.command()
def pull(
    members: Members,
    stages: TheseStages = None,
    replace: Annotated[bool, typer.Option("--replace", help="Let units of other content take the place of those here.")] = False,
) -> None:
    """Bring the finished units of members here from the object storage of IGSM_REMOTE; every file is hashed before it is believed.

    The exit code is 1 if a unit is neither there nor here.
    """
    from igsm_pipeline.running.sharing import pull_units
    from igsm_pipeline.store import Store

    store, remote = Store.at_home(), _remote()
    units = list(dict.fromkeys(unit for each in plans_of(members, stages, False) for unit in each.units))
    told = partial(typer.echo, err=True)
    came, present, nowhere = pull_units(units, store, remote, told, replace=replace)
    remark(f"{came} pulled, {present} already here")
    if nowhere:
        told(f"{nowhere} of {len(units)} units are neither here nor at {remote.address}: compute them with `igsm run`, here or there")
        raise typer.Exit(1)


def _remote() -> Remote:
    from igsm_pipeline.errors import BadSettings
    from igsm_pipeline.store.remote import Remote

    remote = Remote.from_environment()
    if remote is None:
        raise BadSettings("IGSM_REMOTE", "must name an object storage", "none", "set it to s3://BUCKET/PREFIX or file:///FOLDER")
    return remote


@app.command()
def doctor(
    measure: Annotated[bool, typer.Option("--measure", help="Also measure how fast it computes, for plans: some ten seconds.")] = False,
    as_json: AsJson = False,
) -> int:
    """Check this machine: versions, data root, disk, experiments, accelerator, speed."""
    from igsm_pipeline.toolbox.doctor import examine

    if measure:
        from igsm_pipeline.planning.measuring import measure_speeds
        from igsm_pipeline.planning.speeds import write_speeds
        from igsm_pipeline.store import find_home

        write_speeds(measure_speeds(), find_home())
    findings = examine()
    if as_json:
        print_json([{"what": finding.what, "found": finding.found, "good": finding.good} for finding in findings])
    for finding in () if as_json else findings:
        mark = "[green]ok  [/]" if finding.good else "[red]BAD [/]"
        console().print(f"{mark} {finding.what}: {finding.found}", highlight=False)
    return 0 if all(finding.good for finding in findings) else 1
