"""What the terminal shows: plans, the state of members, query results, and one problem with its graph."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from decimal import Decimal
from typing import Any, Literal

import duckdb
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from igsm_pipeline.planning.estimates import Estimate
from igsm_pipeline.planning.planner import Plan, each_once
from igsm_pipeline.planning.speeds import Speeds
from igsm_pipeline.problems.problem import Parameter, Problem
from igsm_pipeline.text import render_answer, render_problem, render_question, render_solution

MOST_REASONS = 2
MOST_ROWS = 1000
_WIDEST = 10_000


def format_bytes(count: float) -> str:
    """A number of bytes in a suitable decimal unit: "1.2 GB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def format_seconds(seconds: float) -> str:
    """A duration for people: "12 s", "3 min", "4.5 h", "12 days"."""
    for limit, size, unit in ((90, 1, "s"), (5400, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / size:.1f} {unit}" if unit == "h" else f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:.1f} days"


def plan_table(plan: Plan, estimates: dict[str, Estimate], *, on_gpu: bool = False) -> Table:
    """A row per stage with something to compute: its stale units, why, and their cost; with ``on_gpu`` also GPU memory."""
    table = Table(title=f"{plan.member.key}: {len(plan.stale)} of {len(plan.units)} units to compute", title_justify="left")
    on_gpu = any(cost.memory for cost in estimates.values()) and on_gpu
    for heading in ("stage", "units", "why", "tokens", "disk", *(["GPU memory"] if on_gpu else []), "time"):
        fixed = heading in ("stage", "units", "time")
        table.add_column(heading, justify="left" if heading in ("stage", "why") else "right", overflow="fold", no_wrap=fixed)
    for stage in plan.stale_stages:
        cost = estimates[stage]
        units = [unit for unit in plan.units if unit.stage == stage]
        table.add_row(
            stage,
            f"{sum(unit in plan.stale for unit in units)}/{len(units)}",
            "\n".join(_reasons(plan, stage)),
            f"{cost.tokens:,}" if cost.tokens else "",
            *_costs(cost, on_gpu),
        )
    total = sum(estimates.values(), Estimate())
    table.add_section()
    table.add_row("all", str(len(plan.stale)), "", f"{total.tokens:,}" if total.tokens else "", *_costs(total, on_gpu))
    return table


def explain_costs(estimates: dict[str, Estimate], speeds: Speeds | None) -> list[str]:
    """Explain in lines what the figures of a plan are based on."""
    if not estimates:
        return []
    total = sum(estimates.values(), Estimate())
    largest = max(estimates, key=lambda stage: estimates[stage].bytes)
    lines = [f"disk: {format_bytes(estimates[largest].bytes)} of {format_bytes(total.bytes)} for {largest}"]
    if speeds is not None:
        number = f"; {total.corrected} units by what like units took here" if total.corrected else ""
        cores = "core" if speeds.cores == 1 else "cores"
        lines.append(f"time: {speeds.machine} ({speeds.device}, {speeds.cores} {cores}), {speeds.basis}{number}")
        if speeds.on_gpu:
            fits = "fits" if total.memory <= speeds.memory else "does not fit"
            each = "" if speeds.cards == 1 else " on each card"
            lines.append(f"GPU memory: at most {format_bytes(total.memory)} of {format_bytes(speeds.memory)}{each}, which {fits}; attention by SDPA")
    return lines


def tell_together(plans: Sequence[Plan], total: Estimate) -> str:
    """One line on what several plans cost together."""
    units = sum(len(one.units) for one in each_once(plans))
    tokens = f"{total.tokens:,} training tokens, " if total.tokens else ""
    cost = f"{tokens}{format_bytes(total.bytes)} of disk, {_costs(total, on_gpu=False)[-1]} one after another"
    return f"together: {len(plans)} members, {units:,} units to compute (what members share counts once), {cost}"


def _costs(cost: Estimate, on_gpu: bool) -> list[str]:
    """Disk, GPU memory, and time as a range; "?" if the time is unknown, "+ ?" after it if a part is unknown."""
    time = format_range(cost.low, cost.high)
    if cost.unknown:
        time = f"{time} + ?" if cost.high else "?"
    return [format_bytes(cost.bytes), *([format_bytes(cost.memory) if cost.memory else ""] if on_gpu else []), time]


def format_range(low: float, high: float) -> str:
    """A range of seconds, with one unit if both ends have the same: "12 to 40 s", "50 s to 3 min"."""
    least, most = format_seconds(low), format_seconds(high)
    if least == most:
        return most
    number, _, unit = least.partition(" ")
    return f"{number} to {most}" if most.endswith(f" {unit}") else f"{least} to {most}"


def _reasons(plan: Plan, stage: str) -> list[str]:
    """The distinct reasons of a stage's units, each with the number of units that have it."""
    counted: dict[str, int] = {}
    for unit, state in zip(plan.units, plan.freshness, strict=True):
        for reason in state.reasons if unit.stage == stage else ():
            counted[reason] = counted.get(reason, 0) + 1
    lines = [reason if number == 1 else f"{reason} (x{number})" for reason, number in counted.items()]
    return lines if len(lines) <= MOST_REASONS + 1 else [*lines[:MOST_REASONS], f"and {len(lines) - MOST_REASONS} more"]


def status_table(plans: Sequence[Plan]) -> Table:
    """A row per member: its title, how many units are fresh, and the first stage with something to compute."""
    table = Table()
    for heading in ("member", "fresh", "next", "about"):
        table.add_column(heading, overflow="fold")
    for plan in plans:
        fresh = len(plan.units) - len(plan.stale)
        style = "green" if not plan.stale else "" if fresh else "dim"
        following = plan.stale_stages[0] if plan.stale else "-"
        archived = " (archived)" if plan.member.archived else ""
        table.add_row(plan.member.key, f"{fresh}/{len(plan.units)}", following, plan.member.settings.title + archived, style=style)
    return table


def unit_table(plan: Plan) -> Table:
    """A row per unit of a member."""
    table = Table(title=plan.member.key, title_justify="left")
    for heading in ("stage", "unit", "fingerprint", "state"):
        table.add_column(heading, overflow="fold")
    for unit, state in zip(plan.units, plan.freshness, strict=True):
        words = "fresh" if state.fresh else "; ".join(state.reasons[: MOST_REASONS + 1])
        table.add_row(unit.stage, unit.name, unit.fingerprint, words, style="green" if state.fresh else "yellow")
    return table


def problem_view(problem: Problem, *, format: str) -> RenderableType:
    """A problem in colour: statements (necessary ones bright), question, solution, answer, structure, and dependencies."""
    necessary = [problem.name(parameter) for parameter in problem.necessary]
    statements = Text()
    for parameter, sentence in zip(problem.statements, _sentences(render_problem(problem)), strict=True):
        statements.append(sentence, style="cyan" if parameter in problem.necessary else "dim")
    question = Text(render_question(problem), style="bold yellow")
    texts: list[RenderableType] = [statements, question] if format == "pq" else [question, statements]
    solution = Text(render_solution(problem))
    solution.highlight_words([f"Define {name} as" for name in necessary], "green")
    answer = Text(render_answer(problem), style="bold magenta")
    return Group(
        Panel(Group(*texts), title="problem", title_align="left"),
        Panel(Group(solution, answer), title=f"solution, {problem.op} operations, answer", title_align="left"),
        Panel(structure_tree(problem), title="structure", title_align="left"),
        Panel(dependency_tree(problem), title="what the query rests on", title_align="left"),
    )


def _sentences(text: str) -> list[str]:
    parts = text.split(". The number of each ")
    return [(" The number of each " if index else "") + part + ("." if index < len(parts) - 1 else "") for index, part in enumerate(parts)]


def result_lines(result: duckdb.DuckDBPyRelation | None, form: Literal["table", "csv", "json"]) -> Iterator[str]:
    """A query's result as text.

    table: DuckDB's own form, all columns, up to ``MOST_ROWS`` rows; csv: comma-separated lines with a heading, lists and structs as JSON;
    json: an object per line, decimals as numbers, NaN as null.
    """
    if result is None:
        return
    if form == "table":
        text = io.StringIO()
        with redirect_stdout(text):
            result.show(max_width=_WIDEST, max_rows=MOST_ROWS)
        yield text.getvalue().rstrip("\n")
        return
    rows = result.fetchall()
    if form == "csv":
        text = io.StringIO()
        cells = ([_json(value) if isinstance(value, dict | list | tuple) else value for value in row] for row in rows)
        csv.writer(text, lineterminator="\n").writerows([result.columns, *cells])
        yield text.getvalue().rstrip("\n")
    else:
        yield from (_json(dict(zip(result.columns, row, strict=True))) for row in rows)


def _json(value: Any) -> str:
    return json.dumps(_plain(value), default=str, ensure_ascii=False)


def _plain(value: Any) -> Any:
    """A value of DuckDB as JSON has it: decimals are numbers, what is no number is null, keys are words; times stay as they are."""
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, Decimal):
        return int(value) if value.as_tuple().exponent == 0 else float(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def structure_tree(problem: Problem) -> Tree:
    """Items by layer; below each item the items that it contains (an item of several parents appears below each)."""
    tree = Tree(" > ".join(problem.categories), guide_style="dim")

    def grow(branch: Tree, layer: int, item: int) -> None:
        node = branch.add(problem.items[layer][item])
        for child in problem.children(layer, item):
            grow(node, layer + 1, child)

    for item in range(len(problem.items[0])):
        grow(tree, 0, item)
    return tree


def dependency_tree(problem: Problem) -> Tree:
    """The query, and below each parameter the parameters that it is computed from; a parameter is opened only the first time."""
    seen: set[Parameter] = set()

    def label(parameter: Parameter) -> Text:
        again = parameter in seen and bool(problem.parents(parameter))
        return Text.assemble(
            (problem.name(parameter), "dim" if again else "green"), f" = {problem.values[parameter]}", (" (above)", "dim") if again else ""
        )

    def grow(branch: Tree, parameter: Parameter) -> None:
        opened = parameter not in seen
        node = branch.add(label(parameter))
        seen.add(parameter)
        for parent in problem.parents(parameter) if opened else ():
            grow(node, parent)

    root = Tree(label(problem.query), guide_style="dim")
    seen.add(problem.query)
    for parent in problem.parents(problem.query):
        grow(root, parent)
    return root
