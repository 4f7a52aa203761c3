"""Draws one packed row: a problem's tokens once, its queries as branches behind them, and what each branch sees.

Columns and branches are those that ``queries.sequences`` lays out for a real problem, and what is seen is the mask of the forward pass; nothing in
the drawing is made by hand.
"""

from __future__ import annotations

import html
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray

from igsm_pipeline.activations.forward import attention_mask
from igsm_pipeline.problems import FamilySettings, ProblemSetSettings, generate_block
from igsm_pipeline.queries.documents import GoldDocuments
from igsm_pipeline.queries.draw import list_queries
from igsm_pipeline.queries.sequences import SHARED, QueryTokens, Sequences
from igsm_pipeline.queries.settings import QuerySetSettings
from igsm_pipeline.tokens import TokenSettings, TokenTable, build_table
from igsm_pipeline.world import load_world

FAMILY = FamilySettings(op_max=2, ip_max=3, modulus=5, op_law="uniform", split_by="problem", format="qp")
CELL, ROW, LEFT, TOP = 10, 20, 128, 46
BELOW = 32
"""Room for the names of the parts, between the row and what is seen of it."""
_COLOURS = ("#0072b2", "#d55e00", "#009e73")


@dataclass(frozen=True)
class PackedRow:
    """One row of a packed batch: ``sequences`` holds it alone; ``names`` and ``position`` are per query, ``texts`` per column."""

    sequences: Sequences
    names: tuple[str, ...]
    position: tuple[int, ...]
    texts: tuple[str, ...]

    def seen(self, query: int) -> NDArray[np.bool_]:
        """The columns that the last token of a query sees, (length,)."""
        branch, limit = (torch.from_numpy(array) for array in (self.sequences.branch, self.sequences.limit))
        return np.asarray(attention_mask(branch, limit)[0, 0, self.sequences.ends[query]].numpy())


def example_row() -> PackedRow:
    """A small problem with three queries of the task ``known``: before the solution, and after each of its first two sentences."""
    world, tokens = load_world("mini"), TokenSettings(segmentation="phrase")
    drawn = ProblemSetSettings(family=FAMILY, law="exact", op=2, num_problems=1, block_size=1, split="all", stream="packed row")
    batch = generate_block(drawn, world, 0)
    problem, table = batch[0], build_table(world, FAMILY.modulus, tokens)
    listed = list_queries(batch, QuerySetSettings(family=FAMILY).of("known"))
    rows = [_first(listed, position, position) for position in range(min(3, len(problem.solved().order or ()) + 1))]
    queries = listed.take(pa.array(rows))
    packed = QueryTokens(batch, queries, GoldDocuments(batch, table, FAMILY.format), table)
    sequences = packed.pack(np.arange(len(rows)))
    return PackedRow(sequences, tuple("ABC"[: len(rows)]), tuple(queries["position"].to_pylist()), _texts(table, sequences))


def _first(listed: pa.Table, position: int, skipped: int) -> int:
    """The row of the query about the parameter number ``skipped`` at a position."""
    return int(np.flatnonzero(pc.equal(listed["position"], position).to_numpy(zero_copy_only=False))[skipped])


def _texts(table: TokenTable, sequences: Sequences) -> tuple[str, ...]:
    special = {table.eos: "[50256] end of text", table.bos: "[222] problem", table.solution: "[223] solution"}
    special |= dict(zip(table.probe_markers, ("[START]", "[MID]", "[END]"), strict=True))
    return tuple(special.get(int(one)) or table.decode(np.array([one]), replace=True) for one in sequences.ids[0])


def packed_row() -> str:
    """The drawing as an ``<svg>`` element that reads by day and by night."""
    row = example_row()
    length, queries = row.sequences.ids.shape[1], len(row.names)
    width, height = LEFT + length * CELL + 16, TOP + ROW * (queries + 1) + BELOW + 64
    parts = [_line(row, "the row", TOP, np.ones(length, bool))]
    for query in range(queries):
        parts.append(_line(row, f"query {query} sees", TOP + ROW * (query + 1) + BELOW, row.seen(query)))
    parts += [_read(row, query) for query in range(queries)]
    parts += _parts_of_the_row(row)
    parts.append(_positions(row, TOP + ROW * (queries + 1) + BELOW + 6))
    title = "A packed row: the tokens of a problem once, three queries behind them, what each query sees, and the rotary positions"
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{title}" {size}><title>{title}</title>{"".join(parts)}</svg>'


def _colour(row: PackedRow, column: int) -> str:
    branch = int(row.sequences.branch[0, column])
    return "currentColor" if branch == SHARED else _COLOURS[branch]


def _line(row: PackedRow, label: str, y: int, seen: NDArray[np.bool_]) -> str:
    """A line of cells, filled where they are seen."""
    cells = [f'<text x="{LEFT - 10}" y="{y + 12}" text-anchor="end" font-size="12" fill="currentColor">{label}</text>']
    for column, text in enumerate(row.texts):
        own = _colour(row, column)
        look = (
            f'fill="{own}" fill-opacity="{0.55 if own == "currentColor" else 0.95}"' if seen[column] else f'fill="none" stroke="{own}" opacity="0.35"'
        )
        cells.append(f'<rect x="{LEFT + column * CELL}" y="{y}" width="{CELL - 2}" height="14" {look}><title>{html.escape(text)}</title></rect>')
    return "".join(cells)


def _read(row: PackedRow, query: int) -> str:
    """The arc from where a query reads to where it stands, and its name."""
    read, end, colour = int(row.sequences.reads[query]), int(row.sequences.ends[query]), _COLOURS[query]
    start = int(np.flatnonzero(row.sequences.branch[0] == query)[0])
    x0, x1, y, rise = LEFT + read * CELL + 4, LEFT + start * CELL + 4, TOP - 3, TOP - 34 + 7 * query
    middle = LEFT + (start + end) * CELL // 2 + 4
    name = f'<text x="{middle}" y="{y - 2}" text-anchor="middle" font-size="12" font-weight="600" fill="currentColor">{row.names[query]}</text>'
    return f'<path d="M{x0} {y}V{rise}H{x1}V{y}" fill="none" stroke="{colour}" stroke-width="1.5"/>{name}'


def _parts_of_the_row(row: PackedRow) -> list[str]:
    """The parts of a row by name, each under its columns: the prompt, the sentences, the queries."""
    start = row.texts.index("[223] solution") + 1
    ends = [column + 1 for column, text in enumerate(row.texts) if text == "." and column > start]
    first = row.texts.index("[START]")
    spans = [("question and problem", 0, start), *zip(("1st sentence", "2nd sentence"), (start, *ends), ends, strict=False)]
    spans.append(("the queries", first, len(row.texts)))
    drawn = []
    for name, left, right in spans:
        x0, x1, y = LEFT + left * CELL, LEFT + right * CELL - 2, TOP + 19
        line = f'<path d="M{x0} {y}v4H{x1}v-4" fill="none" stroke="currentColor" stroke-width="1"/>'
        drawn.append(f'{line}<text x="{(x0 + x1) // 2}" y="{y + 17}" text-anchor="middle" font-size="12" fill="currentColor">{name}</text>')
    return drawn


def _positions(row: PackedRow, y: int) -> str:
    """The rotary position of every column as a line that starts again in each branch."""
    top = int(row.sequences.positions.max())
    parts = [f'<text x="{LEFT - 10}" y="{y + 26}" text-anchor="end" font-size="12" fill="currentColor">position</text>']
    for branch in np.unique(row.sequences.branch[0][row.sequences.branch[0] >= SHARED]):
        columns = np.flatnonzero(row.sequences.branch[0] == branch)
        points = " ".join(f"{LEFT + c * CELL + 4},{y + 50 - round(46 * int(row.sequences.positions[0, c]) / top)}" for c in columns)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{_colour(row, int(columns[0]))}" stroke-width="2.5"/>')
    return "".join(parts)
