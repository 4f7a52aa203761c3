"""Commands about problems and solutions: generate, show, solve, verify. They need no experiment."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from igsm_pipeline.cli.app import Lenient, WorldSource, app, console, refuse_idle, refuse_idle_leniency
from igsm_pipeline.cli.streams import remark

if TYPE_CHECKING:
    from igsm_pipeline.toolbox.solver import Solver

Columns = Annotated[
    list[str] | None,
    typer.Option("--column", help="FIELD=KEY where the file's key is another, such as problem=prompt; several times.", show_default=False),
]
FamilyName = Annotated[str, typer.Option("--family", help="med, hard, or a YAML file of family settings.")]


class Split(StrEnum):
    """The split that problems are drawn from."""

    train, test, all = "train", "test", "all"


class RetryKind(StrEnum):
    """Which parameters are named and taken back."""

    retry, weak, miss = "retry", "weak", "miss"


class Law(StrEnum):
    """How op is drawn."""

    range, exact = "range", "exact"


class FileFormat(StrEnum):
    """What ``generate`` writes: whole rows, or rows for training elsewhere."""

    jsonl, parquet, messages, text, nanochat = "jsonl", "parquet", "messages", "text", "nanochat"


TRAINING = (FileFormat.messages, FileFormat.text, FileFormat.nanochat)


class Vocab(StrEnum):
    """The vocabularies of the token ids that ``generate`` writes."""

    gpt2, compact = "gpt2", "compact"


@app.command()
def generate(
    context: typer.Context,
    family: FamilyName = "med",
    split: Annotated[Split, typer.Option(help="The split to draw from.")] = Split.train,
    law: Annotated[
        Law | None, typer.Option(help="range: op by the family's law; exact: op = --op.", show_default="exact with --op, else range")
    ] = None,
    op: Annotated[int | None, typer.Option(help="Operations; by the family's law without it.", show_default=False)] = None,
    num: Annotated[int, typer.Option(help="Problems.", min=1)] = 10,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    file_format: Annotated[
        FileFormat | None,
        typer.Option("--format", help="Whole rows, or for training: messages, text, nanochat.", show_default="by the file's suffix, or jsonl"),
    ] = None,
    world: WorldSource = "igsm",
    lenient: Lenient = False,
    vocab: Annotated[Vocab, typer.Option(help="Token ids: GPT-2's own, or compact.")] = Vocab.gpt2,
    tables: Annotated[
        bool, typer.Option("--tables", help="Write statistics of the problems instead of the problems: Markdown, or JSON (--out x.json).")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="File, .jsonl or .parquet, replaced if it is there; stdout without it.", show_default=False)
    ] = None,
    shard_rows: Annotated[
        int | None, typer.Option(help="Write a folder: files of so many rows, and a data-set card.", min=1, show_default=False)
    ] = None,
    test_num: Annotated[int, typer.Option(help="In a folder: also so many problems of the test templates.", min=0)] = 0,
    retry: Annotated[
        float, typer.Option(help="Rate of wrong parameters that are named and taken back, in a format for training.", min=0, max=0.9)
    ] = 0,
    retry_kind: Annotated[
        RetryKind, typer.Option(help="What is wrong. retry: not computable yet; weak: of a later sentence; miss: not named yet.")
    ] = RetryKind.retry,
    jobs: Annotated[int, typer.Option("--jobs", "-j", help="Processes; 0: all cores. The bytes do not depend on it.", min=0)] = 0,
) -> None:
    """Generate problems with solution, graph and token ids, for use elsewhere."""
    from igsm_pipeline.problems.settings import RetrySettings
    from igsm_pipeline.toolbox.dataset import generated_set, write_dataset
    from igsm_pipeline.toolbox.law_tables import write_tables
    from igsm_pipeline.world.world import load_world

    refuse_idle_leniency(context, world)
    if not retry:
        refuse_idle(context, "without --retry", "retry_kind")
    if file_format in TRAINING:
        refuse_idle(context, f"with --format {file_format.value}", "vocab")
    drawn: Literal["range", "exact"] = law.value if law else "range" if op is None else "exact"
    settings, names = generated_set(family, law=drawn, op=op, split=split.value, num_problems=num, seed=seed), load_world(world, lenient=lenient)
    if tables:
        refuse_idle(context, "with --tables", "file_format", "vocab", "shard_rows", "test_num", "retry", "retry_kind", "jobs")
        write_tables(settings, names, world, out)
        return
    kind: Any = file_format.value if file_format else None
    taken_back = RetrySettings(rate=retry, kind=retry_kind.value, seed=seed)
    if shard_rows is None and not test_num:
        total = write_dataset(settings, names, vocab=vocab.value, file_format=kind, out=out, workers=jobs, retry=taken_back)
    else:
        from igsm_pipeline.toolbox.dataset_folder import write_folder

        total = write_folder(
            settings, names, out, file_format=kind, shard_rows=shard_rows, test_num=test_num, vocab=vocab.value, workers=jobs, retry=taken_back
        )
    remark(f"{total:,} problems{f' in {out}' if out else ''}")


@app.command()
def show(
    context: typer.Context,
    family: FamilyName = "med",
    op: Annotated[int | None, typer.Option(help="Operations; by the family's law without it.", show_default=False)] = None,
    split: Annotated[Split, typer.Option()] = Split.test,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    number: Annotated[int, typer.Option(help="Which one: the row, from 0, that `igsm generate` with the same options writes.", min=0)] = 0,
    key: Annotated[str | None, typer.Option(help="Which one: BLOCK:DRAW, as records hold them.", show_default=False)] = None,
    world: WorldSource = "igsm",
    lenient: Lenient = False,
) -> None:
    """Show one problem in colour: text, solution, structure, and what its query depends on."""
    from igsm_pipeline.toolbox.console import problem_view
    from igsm_pipeline.toolbox.dataset import find_problem, generated_set
    from igsm_pipeline.world.world import load_world

    refuse_idle_leniency(context, world)
    if key is not None:
        refuse_idle(context, "with --key", "number")
    settings = generated_set(family, law="range" if op is None else "exact", op=op, split=split.value, num_problems=number + 1, seed=seed)
    batch = find_problem(settings, load_world(world, lenient=lenient), key)
    key_line = f"[dim]--key {batch.records[0]['block']}:{batch.records[0]['draw']}[/]"
    console().print(key_line, problem_view(batch[0], format=settings.family.format), sep="\n", highlight=False)


@app.command()
def solve(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(help="A problem's text or any file that `igsm verify` reads; - reads stdin; drawn without it.", show_default=False),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Member, checkpoint folder or models:/NAME@ALIAS; the reference without it.", show_default=False)
    ] = None,
    family: Annotated[
        str | None,
        typer.Option(help="Of a drawn problem (a file's: its order and modulus): med, hard or a YAML file.", show_default="the model's, or med"),
    ] = None,
    op: Annotated[int | None, typer.Option(help="Operations of a drawn problem.", show_default=False)] = None,
    seed: Annotated[int, typer.Option(help="Of a drawn problem.", min=0)] = 0,
    world: Annotated[str | None, typer.Option(help="World: a built-in name or a file.", show_default="the model's, or igsm")] = None,
    lenient: Lenient = False,
    modulus: Annotated[int | None, typer.Option(min=2, max=1 << 16, show_default="the file's, or the family's")] = None,
    columns: Columns = None,
) -> int:
    """Solve a problem and verify it step by step (exit code 1: wrong); without a model, print the reference solution and answer."""
    from igsm_pipeline.cli.streams import remark
    from igsm_pipeline.toolbox.solving import choose_problem, read_problem, solve_problem
    from igsm_pipeline.verification.rows.columns import read_renames

    refuse_idle_leniency(context, world)
    if file is None:
        refuse_idle(context, "without FILE", "columns")
    else:
        refuse_idle(context, "with FILE", "op", "seed")
    solver = _find_solver(model) if model else None
    given = None if file is None else read_problem(file, read_renames(columns or ()))
    asked = choose_problem(solver, given, family=family, op=op, seed=seed, world=world, lenient=lenient, modulus=modulus)
    if asked.spellings:
        remark(f"the problem had {', '.join(asked.spellings)}")
    if solver is None:
        typer.echo(asked.reference() if given else f"{asked.text.strip()}\n{asked.reference()}")
        return 0
    solved = solve_problem(asked, solver)
    console().print(solved.view(solver.name))
    return 0 if solved.verdict.correct else 1


def _find_solver(named: str) -> Solver:
    if named.startswith("models:/"):
        from igsm_pipeline.defs.tracking.solver import find_registered

        return find_registered(named)
    from igsm_pipeline.toolbox.solver import find_solver

    return find_solver(named)


@app.command()
def play(
    context: typer.Context,
    named: Annotated[
        str | None,
        typer.Argument(metavar="[MEMBER|FOLDER]", help="A member, or a folder that `igsm publish` wrote.", show_default="data/published/small"),
    ] = None,
    port: Annotated[int, typer.Option(help="The first to try.", min=1, max=65535)] = 8765,
    page: Annotated[
        Path | None, typer.Option(help="Serve nothing: write a member's most telling problems into this HTML file.", show_default=False)
    ] = None,
) -> int:
    """Serve a page where a model solves problems live and one sees after each sentence what the probes read in its state."""
    from igsm_pipeline.play.opening import open_mind_files

    if page is not None:
        refuse_idle(context, "with --page", "port")
        from igsm_pipeline.play.chosen import write_page

        remark(f"{write_page(named, page)} problems in {page}")
        return 0
    files = open_mind_files(named)
    from igsm_pipeline.play.serving import serve

    return serve(files, port)


@app.command()
def verify(
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            help="JSON lines, JSON, CSV, Parquet (also a folder) or Arrow, packed or not, with problem, question, solution and, optionally, answer; "
            "- reads stdin."
        ),
    ],
    world: Annotated[str | None, typer.Option(help="World: a built-in name or a file.", show_default="what the rows say, or igsm")] = None,
    lenient: Lenient = False,
    modulus: Annotated[int | None, typer.Option(min=2, max=1 << 16, show_default="what the rows say, or 23")] = None,
    columns: Columns = None,
    exact: Annotated[bool, typer.Option("--exact", help="Judge byte for byte: change no apostrophe, space or form of an answer.")] = False,
    released: Annotated[bool, typer.Option("--released", help="Accept all that the released checker accepts.")] = False,
    out: Annotated[Path | None, typer.Option(help="Where each row's verdict goes: .jsonl or .parquet.", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
    jobs: Annotated[int, typer.Option("--jobs", "-j", help="Processes; 0: all cores.", min=0)] = 0,
) -> int:
    """Judge a file of solutions: accuracy and redundancy per op, first errors, all with intervals; exit code 1 if a row could not be judged."""
    from igsm_pipeline.verification.report import verify_to_end
    from igsm_pipeline.verification.rows.columns import read_renames
    from igsm_pipeline.verification.rows.judging import Judging
    from igsm_pipeline.world.world import load_world

    refuse_idle_leniency(context, world)
    names = load_world(world, lenient=lenient) if world else None
    judging = Judging(names, modulus, not released, exact, read_renames(columns or ()))
    tally, hints = verify_to_end(file, judging, out=out, workers=jobs)
    if as_json:
        import json

        typer.echo(json.dumps(tally.document(hints), indent=1))
    else:
        typer.echo("\n".join(tally.lines(hints)))
    return 0 if tally.complete else 1
