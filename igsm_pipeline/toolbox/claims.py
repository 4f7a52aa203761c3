"""Claims: the numbers of a member, or of a published folder, as Markdown tables that a page can hold. No claim is typed by hand.

A page keeps the tables between two comments; ``igsm report --claims`` writes them anew in README.md and docs/:

    <!-- claims: data/published/small -->
    <!-- end of claims -->

``<!-- claims: data/published/small, headline -->`` asks for one short table.

Ours: all of it.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from igsm_pipeline.correlation.settings import CorrelationSettings
from igsm_pipeline.correlation.stage import CORRELATION, PREDICTOR
from igsm_pipeline.errors import BadInput, NotFound
from igsm_pipeline.experiments.experiment import find_member
from igsm_pipeline.intervals.interval import of_columns
from igsm_pipeline.planning.flow import units_of
from igsm_pipeline.probes.stage import BEYOND_TEXT, CURVE, METRICS
from igsm_pipeline.reports.paper_rows import accuracy_by_op, accuracy_rows, before_last_quarter, whole_scores
from igsm_pipeline.reports.results import slice_name
from igsm_pipeline.stage import Table
from igsm_pipeline.store import Store, write_atomically
from igsm_pipeline.tokens.settings import DrillSettings
from igsm_pipeline.toolbox.published import TRAINED_AS, Published, checkpoint_in, is_published, read_published
from igsm_pipeline.toolbox.publishing import provenance_of, rows_of
from igsm_pipeline.verification.stage import VERDICTS

Row = dict[str, Any]
TABLES = (VERDICTS, METRICS, BEYOND_TEXT, CURVE, CORRELATION, PREDICTOR)
_BLOCK = re.compile(r"(?P<open><!-- claims: (?P<what>[^\n]+?)(?P<short>, headline)? -->\n).*?(?P<close><!-- end of claims -->)", re.DOTALL)


def claims(what: str, *, short: bool = False) -> str:
    """Markdown tables of everything that a member shows, with n and 95% intervals by problem.

    Args:
        what: a member, or a folder that ``igsm publish`` wrote.
        short: one table of a few rows instead, no line longer than 120 characters.

    Raises:
        NotFound: there is no such member.
        BadInput: it has no results yet, or a published table was altered.
    """
    if is_published(Path(what)):
        published = read_published(Path(what))
        said, tables = published.provenance, {table.name: _read(published, table) for table in TABLES}
    else:
        member, store = find_member(what), Store.at_home()
        done = [unit for unit in units_of(member) if store.check(unit).fresh]
        said = provenance_of(member, store, done)
        tables = {table.name: rows_of(table, done, store) for table in TABLES}
    if not tables[VERDICTS.name]:
        raise BadInput("MEMBER", "must have verdicts", f"none of {what}", f"compute them with `igsm run {what}`")
    op_max = int(said["settings"]["family"]["op_max"])
    if short:
        return f"{textwrap.fill(_about(said), 118)}\n\n{_headline(tables, op_max)}"
    parts = [_about(said), _accuracies(tables[VERDICTS.name], op_max)]
    parts += [part for part in (_probes(tables, op_max), _mistakes(tables, op_max)) if part]
    return "\n\n".join(parts)


def holds_claims(page: Path) -> bool:
    """Whether a page has a block of claims."""
    return _BLOCK.search(page.read_text(encoding="utf-8", errors="replace")) is not None


def rewrite_claims(page: Path) -> int:
    """Write every block of claims in a Markdown page anew; other text stays as it is.

    Returns:
        The number of blocks.

    Raises:
        BadInput: the page has no block, or cannot be read.
    """
    try:
        text = page.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(str(page), "must be a Markdown page", f"{type(error).__name__}", "name a page that can be read") from None
    new, number = _BLOCK.subn(lambda block: f"{block['open']}\n{claims(block['what'], short=bool(block['short']))}\n\n{block['close']}", text)
    if not number:
        raise BadInput(
            str(page), "must hold a block of claims", "none", "add <!-- claims: MEMBER --> and <!-- end of claims --> on lines of their own"
        )
    if new != text:
        write_atomically(page, new.encode())
    return number


def _read(published: Published, table: Table) -> list[Row]:
    try:
        rows: list[Row] = pq.read_table(published.table(table.name)).to_pylist()
    except NotFound:
        return []
    return rows


def _about(said: Mapping[str, Any]) -> str:
    """What was trained, by what, on what."""
    before = said.get(TRAINED_AS)
    training: Mapping[str, Any] = before or checkpoint_in(said)
    counts = training.get("counts", {})
    sizes = [f"{counts['parameters']:,} parameters"] if "parameters" in counts else []
    if "tokens" in counts:
        gone_on = " from the weights of another" if (before or said)["settings"]["training"].get("start") else ""
        drilled = " with drills" if DrillSettings.in_section((before or said)["settings"]["shards"]) else ""
        read = f"{counts['tokens'] / 1e6:.1f}M tokens{drilled}"
        sizes += [f"{read}, {training['seconds'] / 60:.0f} minutes of training{gone_on}"]
    if before is not None:
        sizes += [f"published before as {before['member']}"]
    what, by = ", ".join([*sizes, "one trained model"]), said["published_with"]
    machines = dict.fromkeys(
        f"{one.get('processor') or one.get('machine', 'an unknown machine')}, torch {one.get('torch', '?')}"
        for one in [*(before or {}).get("made_on", []), *said["made_on"]]
    )
    made = f"Computed on {'; '.join(machines)}; written at commit {by['commit'][:10]}."
    return f"**{said['member']}**: {what}. {made} Intervals are 95%, by problem; they do not cover seeds."


def _accuracies(verdicts: Sequence[Row], op_max: int) -> str:
    greedy = [row for row in accuracy_rows(verdicts) if row.beams == 1]
    rows = [(slice_name(row.slice, op_max), row.correct.percent(), f"{row.n:,}") for row in greedy]
    rows += [
        (f"{row.op} operation{'s' * (row.op != 1)} (equal shares)", row.correct.percent(), f"{row.n:,}")
        for row in accuracy_by_op(verdicts)
        if row.beams == 1 and (row.op or 0) <= op_max
    ]
    return _table(("fully correct, greedy, unseen problems", "%, 95% interval", "n"), rows)


def _headline(tables: Mapping[str, Sequence[Row]], op_max: int) -> str:
    """Accuracies by slice; on the first slice, what V-probes know, beside random weights and the text alone."""
    greedy = [row for row in accuracy_rows(tables[VERDICTS.name]) if row.beams == 1 and row.slice != "by_op"]
    rows = [(f"solves {slice_name(row.slice, op_max)}, fully correct", f"{row.correct.percent()} %", f"n = {row.n:,}") for row in greedy]
    whole = whole_scores(tables[METRICS.name])
    floor = {(row["task"], row["slice"]): row for row in tables[BEYOND_TEXT.name] if row["probe"] == "v_probe"}
    first = next((part for _, part, probe in whole if probe == "v_probe"), None)
    for (task, part, probe), row in whole.items():
        if probe == "v_probe" and part == first:
            beside = [("random weights", whole.get((task, part, "random")), "balanced_accuracy"), ("text alone", floor.get((task, part)), "text")]
            shown = ", ".join(
                f"{name} {100 * other[column]:.1f}" for name, other, column in beside if other is not None and other[column] is not None
            )
            rows.append((f"its state knows {task} (V-probe, balanced)", f"{_percent(row, 'balanced_accuracy')} %", shown))
    return _table(("what", "measured, 95% by problem", "beside it"), rows)


def _probes(tables: Mapping[str, Sequence[Row]], op_max: int) -> str:
    whole = whole_scores(tables[METRICS.name])
    floor = {(row["task"], row["slice"]): row for row in tables[BEYOND_TEXT.name] if row["probe"] == "v_probe"}
    rows = []
    for (task, part, probe), row in whole.items():
        if probe != "v_probe":
            continue
        control, text = whole.get((task, part, "random")), floor.get((task, part))
        rows.append(
            (
                f"{task}, {slice_name(part, op_max)}",
                _percent(row, "balanced_accuracy"),
                _percent(control, "balanced_accuracy"),
                _percent(row, "balanced_accuracy_gain"),
                _percent(text, "text"),
                _percent(text, "gain"),
                f"{_percent(text, 'right_where_missed')} of {text['missed']:,}" if text else "-",
                f"{row['n']:,} of {row['num_problems']:,} problems",
            )
        )
    names = ("V-probe, balanced accuracy", "%", "random weights", "gain", "text alone", "gain over text", "right where the text is not", "queries")
    return _table(names, rows) + _settled(tables[CURVE.name]) if rows else ""


def _settled(curves: Sequence[Row]) -> str:
    """One sentence: which V-probes of the trained model were still gaining in the last quarter of their training."""
    own = [row for row in curves if row["model"] == "trained"]
    rising = []
    for task, layer in dict.fromkeys((row["task"], row["layer"]) for row in own):
        points = [row for row in own if (row["task"], row["layer"]) == (task, layer)]
        near = before_last_quarter(points)
        if near is not None and (near["gain_left_low"] or 0) > 0:
            rising.append(f"{task}{'' if layer is None else f' at layer {layer}'} ({_percent(near, 'gain_left')} points)")
    if not own:
        return ""
    return "\n\nStill gaining in the last quarter of their training, on held-out problems: " + (", ".join(rising) or "no V-probe") + "."


def _mistakes(tables: Mapping[str, Sequence[Row]], op_max: int) -> str:
    rows = [
        (
            f"8{row['figure']} {row['task']}, {slice_name(row['slice'], op_max)}",
            f"{_percent(row, 'rate', '')} of {row['n']:,}",
            f"{_percent(row, 'matched_rate')} of {row['matched_n']:,}",
            _percent(row, "matched_baseline"),
            _percent(row, "matched_excess"),
        )
        for row in tables[CORRELATION.name]
        if row["n"] and row["slice"] != "all"
    ]
    shown = [_table(("figure 8: the probe shares the mistake", "%", "of those with a match", "of others as hard", "excess"), rows)] if rows else []
    gains = [
        (
            f"{row['target']}, {slice_name(row['slice'], op_max)}",
            f"{row['positives']:,} of {row['n']:,}",
            _percent(row, "auroc"),
            _percent(row, "gain"),
        )
        for row in tables[PREDICTOR.name]
        if row["features"] == "surface+probes" and row["gain"] is not None and row["slice"] != "all"
        if min(row["positives"], row["n"] - row["positives"]) >= CorrelationSettings.model_fields["min_events"].default
    ]
    if gains:
        shown.append(_table(("will the solution be ...?", "solutions", "AUROC x 100, surface and probes", "gain over surface alone"), gains))
    return "\n\n".join(shown)


def _percent(row: Mapping[str, Any] | None, name: str, ends: str | None = None) -> str:
    if row is None:
        return "-"
    return of_columns(row, name, ends).percent()


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
