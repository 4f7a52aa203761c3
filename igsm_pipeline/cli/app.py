"""What all commands share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from igsm_pipeline.planning.planner import Plan

app = typer.Typer(
    name="igsm",
    help="iGSM problems to probed minds: generate, train, evaluate and probe, computing only what is stale.",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def complete_members(incomplete: str) -> list[str]:
    """Names of experiments and members with this beginning, for the shell's completion; none if they cannot be read."""
    from igsm_pipeline.errors import IgsmError
    from igsm_pipeline.experiments.experiment import load_experiments

    try:
        experiments = load_experiments({})
    except (IgsmError, OSError):
        return []
    names = [*experiments, *(member.key for experiment in experiments.values() for member in experiment.members)]
    return [name for name in dict.fromkeys(names) if name.startswith(incomplete)]


def complete_stages(incomplete: str) -> list[str]:
    """Names of stages with this beginning, for the shell's completion."""
    from igsm_pipeline.planning.flow import STAGES

    return [name for name in STAGES if name.startswith(incomplete)]


Members = Annotated[
    list[str], typer.Argument(help="Members or experiments (`igsm status` lists them).", show_default=False, autocompletion=complete_members)
]
SomeMembers = Annotated[
    list[str] | None, typer.Argument(help="Members or experiments; all without them.", show_default=False, autocompletion=complete_members)
]
Stages = Annotated[
    list[str] | None,
    typer.Option(
        "--stage",
        "-s",
        help="Only this stage, and what it lacks of those before it; may be given several times.",
        show_default=False,
        autocompletion=complete_stages,
    ),
]
TheseStages = Annotated[
    list[str] | None,
    typer.Option(
        "--stage",
        "-s",
        help="Only the units of this stage, without those that they rest on; may be given several times.",
        show_default=False,
        autocompletion=complete_stages,
    ),
]
Deep = Annotated[bool, typer.Option("--deep", help="Hash every file again instead of trusting size and time.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON value, for programs.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only results and errors: no progress bars, no remarks.")]
WorldSource = Annotated[str, typer.Option("--world", help="World: a built-in name or a file.")]
Lenient = Annotated[bool, typer.Option("--lenient", help="Accept other people's looser names in a world's file.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        from igsm_pipeline.cli.streams import own_version

        typer.echo(f"igsm {own_version()}")
        raise typer.Exit


@app.callback()
def _every_command(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)] = False,
    quiet: Quiet = False,
) -> None:
    from igsm_pipeline.cli.streams import be_quiet

    if quiet:
        be_quiet()


def refuse_idle(context: typer.Context, where: str, *names: str) -> None:
    """Refuse options that would change nothing in this call; one that stands at its default without the user's doing is none.

    Args:
        context: of the command.
        where: what makes them idle, as "with --tables" or "without --yes".
        names: parameters of the command's function.

    Raises:
        BadInput: the user gave one of them.
    """
    from igsm_pipeline.errors import BadInput

    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name in names and source is not None and source.name == "COMMANDLINE":
            option = max(parameter.opts, key=len)
            value = context.params[str(parameter.name)]
            got = option if value is True else " ".join([option, *map(str, value if isinstance(value, list | tuple) else [value])])
            way_out = f"take it off, or add {where.removeprefix('without ')}" if where.startswith("without ") else "take off one of the two"
            raise BadInput(option, f"must be left out {where}, where it changes nothing", got, way_out)


def refuse_idle_leniency(context: typer.Context, world: str | None) -> None:
    """Refuse ``--lenient`` where no file of a world is named: the built-in worlds keep the strict rules.

    Args:
        context: of the command.
        world: name or file.
    """
    from igsm_pipeline.world import builtin_worlds

    if world is None or world in builtin_worlds():
        refuse_idle(context, "without --world FILE", "lenient")


def plans_of(members: Sequence[str], stages: Sequence[str] | None, deep: bool, *, inputs: bool = False) -> list[Plan]:
    """The plans of the named members; ``inputs`` as for ``planner.plan``."""
    from igsm_pipeline.experiments.experiment import find_members
    from igsm_pipeline.planning.planner import plan as make_plan
    from igsm_pipeline.store import Store

    return [make_plan(member, Store.at_home(), stages, deep=deep, inputs=inputs) for member in find_members(list(members))]


def print_json(value: Any) -> None:
    """Print one JSON value on standard output, in plain ASCII, which every terminal and pipe can show."""
    import json

    typer.echo(json.dumps(value, indent=1, default=str))


def console() -> Console:
    """The console for tables and colours: standard output."""
    from rich.console import Console

    return Console(soft_wrap=False)
