"""``igsm``: the pipeline from a terminal.

Every command imports what it needs when it runs, so that ``igsm --help`` answers at once and ``igsm run`` of a fresh member never loads Dagster.
Refusals are one red line on stderr and exit code 2.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from igsm_pipeline.errors import IgsmError

if TYPE_CHECKING:
    from rich.console import Console

    from igsm_pipeline.planning.planner import Plan
    from igsm_pipeline.toolbox.solver import Solver

REFUSED = 2
app = typer.Typer(
    name="igsm",
    help="iGSM problems to probed minds: generate, train, evaluate and probe, computing only what is stale.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Members = Annotated[list[str], typer.Argument(help="Members or experiments (`igsm status` lists them).", show_default=False)]
Stages = Annotated[list[str] | None, typer.Option("--stage", "-s", help="Only this stage; may be given several times.", show_default=False)]
Deep = Annotated[bool, typer.Option("--deep", help="Hash every file again instead of trusting size and time.")]
WorldSource = Annotated[str, typer.Option("--world", help="World: a built-in name or a file.")]
Lenient = Annotated[bool, typer.Option("--lenient", help="Accept other people's looser names.")]
FamilyName = Annotated[str, typer.Option("--family", help="med, hard, or a YAML file of family settings.")]


class Split(StrEnum):
    """Which templates problems are drawn from."""

    train, test, all = "train", "test", "all"


class Law(StrEnum):
    """How op is drawn."""

    range, exact = "range", "exact"


class FileFormat(StrEnum):
    """What ``generate`` writes."""

    jsonl, parquet = "jsonl", "parquet"


class Vocab(StrEnum):
    """Whose token ids ``generate`` writes."""

    gpt2, compact = "gpt2", "compact"


class TableFormat(StrEnum):
    """How ``sql`` prints."""

    table, csv, json = "table", "csv", "json"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    try:
        code = app(args=list(arguments) if arguments is not None else None, standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except IgsmError as error:
        _refuse(str(error))
    except (typer.Abort, KeyboardInterrupt):
        typer.echo("interrupted; what was done is kept and a rerun resumes it", err=True)
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)


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
    from igsm_pipeline.store.housekeeping import distrust

    plans, store = _plans(members, stages, deep), Store.at_home()
    wanted = [plan for plan in plans if plan.stale or is_unfinished(plan.member, store)]
    for plan in plans:
        _print_plan(plan)
        for unit in plan.stale if deep else ():
            distrust(store, unit)
    if not wanted:
        return 0
    os.environ[JOBS] = str(jobs)
    from igsm_pipeline.defs.operating.launch import run_members

    return run_members([plan.member.key for plan in wanted], stages)


@app.command()
def plan(members: Members, stages: Stages = None, deep: Deep = False) -> None:
    """Show what a run would compute and why, with tokens, disk and time; refuse what exceeds the disk budget."""
    for each in _plans(members, stages, deep):
        _print_plan(each)


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
            _console().print(unit_table(make_plan(member, store, deep=deep)))
    else:
        broken: Broken = {}
        _console().print(status_table(usable_plans(store, broken, deep=deep)))
        for error in broken.values():
            typer.echo(f"left out: {error}", err=True)


@app.command()
def generate(
    family: FamilyName = "med",
    split: Annotated[Split, typer.Option(help="Whose templates.")] = Split.train,
    law: Annotated[Law, typer.Option(help="range: op by the family's law; exact: op = --op.")] = Law.range,
    op: Annotated[int | None, typer.Option(help="Operations, with --law exact.", show_default=False)] = None,
    num: Annotated[int, typer.Option(help="Problems.", min=1)] = 10,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    file_format: Annotated[FileFormat, typer.Option("--format")] = FileFormat.jsonl,
    world: WorldSource = "igsm",
    lenient: Lenient = False,
    vocab: Annotated[Vocab, typer.Option(help="Token ids: GPT-2's own, or compact.")] = Vocab.gpt2,
    tables: Annotated[bool, typer.Option("--tables", help="No problems but tables of what they are like: Markdown, JSON (--out x.json).")] = False,
    out: Annotated[Path | None, typer.Option(help="File; stdout without it.", show_default=False)] = None,
) -> None:
    """Generate problems with solution, graph and token ids, for use elsewhere."""
    from igsm_pipeline.toolbox.dataset import generated_set, write_dataset
    from igsm_pipeline.toolbox.law_tables import write_tables
    from igsm_pipeline.world.world import load_world

    settings, names = generated_set(family, law=law.value, op=op, split=split.value, num_problems=num, seed=seed), load_world(world, lenient=lenient)
    if tables:
        write_tables(settings, names, world, out)
        return
    total = write_dataset(settings, names, vocab=vocab.value, file_format=file_format.value, out=out)
    typer.echo(f"{total:,} problems{f' in {out}' if out else ''}", err=True)


@app.command()
def show(
    family: FamilyName = "med",
    op: Annotated[int | None, typer.Option(help="Operations; by the family's law without it.", show_default=False)] = None,
    split: Annotated[Split, typer.Option()] = Split.test,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    number: Annotated[int, typer.Option(help="Which one: the row, from 0, that `igsm generate` with the same options writes.", min=0)] = 0,
    key: Annotated[str | None, typer.Option(help="Which one: BLOCK:DRAW, as records hold them.", show_default=False)] = None,
    world: WorldSource = "igsm",
    lenient: Lenient = False,
) -> None:
    """Show one problem in colour: text, solution, structure, and what its query rests on."""
    from igsm_pipeline.toolbox.console import problem_view
    from igsm_pipeline.toolbox.dataset import find_problem, generated_set
    from igsm_pipeline.world.world import load_world

    settings = generated_set(family, law="range" if op is None else "exact", op=op, split=split.value, num_problems=number + 1, seed=seed)
    batch = find_problem(settings, load_world(world, lenient=lenient), key)
    key_line = f"[dim]--key {batch.records[0]['block']}:{batch.records[0]['draw']}[/]"
    _console().print(key_line, problem_view(batch[0], format=settings.family.format), sep="\n", highlight=False)


@app.command()
def solve(
    file: Annotated[
        Path | None, typer.Argument(help="A problem's text or a file of `igsm generate`; - reads stdin; drawn without it.", show_default=False)
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Member, checkpoint folder or models:/NAME@ALIAS; the reference without it.", show_default=False)
    ] = None,
    family: Annotated[str | None, typer.Option(help="Of a drawn problem: med, hard or a YAML file.", show_default="the model's, or med")] = None,
    op: Annotated[int | None, typer.Option(help="Operations of a drawn problem.", show_default=False)] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    world: Annotated[str | None, typer.Option(help="World: a built-in name or a file.", show_default="the model's, or igsm")] = None,
    lenient: Lenient = False,
    modulus: Annotated[int | None, typer.Option(min=2, show_default="the model's, or 23")] = None,
) -> int:
    """Solve a problem and judge it step by step (exit code 1: wrong); without a model print the reference solution and answer."""
    from igsm_pipeline.toolbox.solving import choose_problem, read_text, solve_problem

    solver = _find_solver(model) if model else None
    given = None if file is None else read_text(file)
    asked = choose_problem(solver, given, family=family, op=op, seed=seed, world=world, lenient=lenient, modulus=modulus)
    if solver is None:
        typer.echo(asked.reference() if given else f"{asked.text.strip()}\n{asked.reference()}")
        return 0
    solved = solve_problem(asked, solver)
    _console().print(solved.view(solver.name))
    return 0 if solved.verdict.correct else 1


def _find_solver(named: str) -> Solver:
    if named.startswith("models:/"):
        from igsm_pipeline.defs.tracking.solver import find_registered

        return find_registered(named)
    from igsm_pipeline.toolbox.solver import find_solver

    return find_solver(named)


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="JSON lines or Parquet (.parquet) with problem, question, solution and, optionally, answer.")],
    world: WorldSource = "igsm",
    lenient: Lenient = False,
    modulus: Annotated[int, typer.Option(min=2)] = 23,
    released: Annotated[bool, typer.Option("--released", help="Accept all that the released checker accepts.")] = False,
    out: Annotated[Path | None, typer.Option(help="Where each row's verdict goes: JSON lines, or Parquet (.parquet).", show_default=False)] = None,
) -> int:
    """Judge a file of solutions: accuracy and redundancy per op, first errors, all with intervals; exit code 1 if a row could not be judged."""
    from igsm_pipeline.verification.files import verify_file, write_judgement
    from igsm_pipeline.verification.summary import summary_lines
    from igsm_pipeline.world.world import load_world

    judgement = verify_file(file, load_world(world, lenient=lenient), modulus, strict=not released)
    if out is not None:
        write_judgement(judgement, out)
    typer.echo("\n".join(summary_lines(judgement)))
    return 1 if judgement.refused else 0


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="A query; without it the tables are listed.")] = "SHOW TABLES",
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
def report(
    member: Annotated[str, typer.Argument(help="A member, or an experiment with a grid.")],
    show: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
) -> None:
    """Print the path of a member's report; of an experiment with a grid, of a page with its members side by side, written anew."""
    from igsm_pipeline.reports.grid import find_report

    path, fresh = find_report(member)
    if not fresh:
        typer.echo(f"this report is stale; `igsm plan {member}` says why", err=True)
    typer.echo(path)
    if show:
        typer.launch(path.as_uri())


@app.command()
def ui(
    port: Annotated[int, typer.Option(help="Of Dagster's page.")] = 3000, mlflow_port: Annotated[int, typer.Option(help="Of MLflow's page.")] = 5000
) -> int:
    """Start Dagster's and MLflow's pages on this machine; Ctrl-C stops them."""
    from igsm_pipeline.defs.operating.ui import run_ui

    return run_ui(port, mlflow_port)


@app.command()
def gc(
    yes: Annotated[bool, typer.Option("--yes", help="Remove; without it only a list is printed.")] = False,
    runs: Annotated[float | None, typer.Option("--runs", help="Also Dagster's runs older than these days.", min=0, show_default=False)] = None,
) -> None:
    """Remove units that no experiment refers to (archived experiments count), and old Dagster runs that are no asset's latest."""
    from igsm_pipeline.experiments.experiment import load_members
    from igsm_pipeline.planning.planner import units_of
    from igsm_pipeline.store import Store
    from igsm_pipeline.store.housekeeping import find_garbage, remove_garbage
    from igsm_pipeline.toolbox.console import format_bytes

    store = Store.at_home()
    garbage = find_garbage(store, (unit for member in load_members().values() for unit in units_of(member)))
    for item in garbage:
        typer.echo(f"{format_bytes(item.bytes):>10}  {item.kind:<9}  {item.path.relative_to(store.root)}")
    if yes:
        folders, freed = remove_garbage(garbage)
        typer.echo(f"removed {folders} folders, {format_bytes(freed)}")
    elif garbage:
        typer.echo(f"{len(garbage)} folders, {format_bytes(sum(item.bytes for item in garbage))}; `igsm gc --yes` removes them")
    else:
        typer.echo("no unit to remove")
    if runs is not None:
        from igsm_pipeline.defs.operating.instance import remove_runs

        typer.echo(f"{remove_runs(runs, yes=yes)} Dagster runs {'removed' if yes else 'to remove'}")


@app.command()
def export(members: Members, out: Annotated[Path, typer.Option("--out", help="The file to write.")], stages: Stages = None) -> None:
    """Write the finished units of members to one file, for another machine."""
    from igsm_pipeline.store import Store
    from igsm_pipeline.store.housekeeping import export_units

    store = Store.at_home()
    units = [unit for each in _plans(members, stages, False) for unit in each.units if not store.check_own(unit)]
    typer.echo(f"{export_units(store, units, out)} units in {out}", err=True)


@app.command(name="import")
def import_(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
    replace: Annotated[bool, typer.Option("--replace", help="Let units of other content take the place of those here.")] = False,
) -> None:
    """Take in units that `igsm export` wrote; every file is hashed before it is believed."""
    from igsm_pipeline.store import Store
    from igsm_pipeline.store.housekeeping import import_units

    done = import_units(Store.at_home(), file, replace=replace)
    for label in done.kept:
        typer.echo(f"kept the unit here, whose content differs: {label}; --replace takes the imported one", err=True)
    typer.echo(f"{len(done.added)} added, {len(done.present)} already here, {len(done.kept)} kept", err=True)


@app.command()
def doctor() -> int:
    """Check this machine: versions, data root, disk, experiments, accelerator."""
    from igsm_pipeline.toolbox.doctor import examine

    findings = examine()
    for finding in findings:
        mark = "[green]ok  [/]" if finding.good else "[red]BAD [/]"
        _console().print(f"{mark} {finding.what}: {finding.found}", highlight=False)
    return 0 if all(finding.good for finding in findings) else 1


def _plans(members: Sequence[str], stages: Sequence[str] | None, deep: bool) -> list[Plan]:
    from igsm_pipeline.experiments.experiment import find_members
    from igsm_pipeline.planning.planner import plan as make_plan
    from igsm_pipeline.store import Store

    return [make_plan(member, Store.at_home(), stages, deep=deep) for member in find_members(list(members))]


def _print_plan(plan: Plan) -> None:
    """Print a plan; raises BadInput or StoreError where it cannot come to its end on this machine (disk budget, device, tokens, folder)."""
    from igsm_pipeline.planning.estimates import estimate_stages
    from igsm_pipeline.planning.preflight import check_plan
    from igsm_pipeline.store import Store
    from igsm_pipeline.toolbox.console import plan_table

    if not plan.stale:
        typer.echo(f"{plan.member.key}: all {len(plan.units)} units are fresh")
        return
    store = Store.at_home()
    _console().print(plan_table(plan, estimate_stages(plan, store)))
    check_plan(plan, store)


def _console() -> Console:
    from rich.console import Console

    return Console(soft_wrap=False)


def _refuse(message: str) -> None:
    from rich.console import Console

    Console(stderr=True).print(message, style="red", markup=False, highlight=False, soft_wrap=True)
    sys.exit(REFUSED)


if __name__ == "__main__":
    main()
