"""Prefix-shared sequences: the tokens of a problem once, then every query as a branch of its own.

A query is [START] name(A) [END] (about a pair: [START] A [MID] B [END]) behind the tokens up to its read position. All queries of a problem share
these tokens. So one row holds the problem once and the queries behind it. A branch sees the shared tokens up to its own read position and itself,
and its rotary positions go on from there. The result is exact: a branch token attends to the same tokens at the same positions as in a sequence of
its own.

One row of a packed batch. Query 0 asks about A at t = 0, which it reads at column r0, the end of the question; query 1 asks about B at t = 1, which
it reads at column r1, the end of the first sentence of the solution::

                                     reads[0]=r0                r1=reads[1]       ends[0]            ends[1]
                                         v                          v                v                  v
    ids        [50256] [222] problem question [223] Define A as ... .  [START]  A  [END]  [START]  B  [END]   0   0
    branch        -1    -1    -1  ...   -1     -1    -1     ...    -1     0     0    0       1     1    1    -2  -2
    positions      0     1     2  ...   r0   r0+1     ...          r1   r0+1   ...           r1+1  ...        0   0
    limit          0     1     2  ...   r0   r0+1     ...          r1    r0    r0   r0      r1    r1   r1    -1  -1
               |--------------- shared: the problem ----------------| |--- query 0 ---|   |--- query 1 ---|  padding

The token of a branch sees the columns 0..limit and the tokens of its own branch up to itself; of other branches it sees nothing. The shared part ends
where the last query of the row reads.

A branch may also be the beginning of a sentence in the model's own words, " Define A as" (``Wording.own``); it is read at the last token of " as".

Source: the query's form (figure 7); the own words (arXiv:2408.16293). Ours: sharing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from igsm_pipeline.problems.anatomy import MAX_INSTANCES, MAX_WIDTH, NOTHING, abstract_place, edge_place
from igsm_pipeline.problems.kernel import kernel
from igsm_pipeline.problems.record import ProblemBatch
from igsm_pipeline.queries.documents import Documents
from igsm_pipeline.queries.facts import NO_EDGE
from igsm_pipeline.tokens import Emitted, TokenTable, name_ids

Ints = NDArray[np.int64]
SHARED = -1
PADDING = -2


@dataclass(frozen=True)
class Sequences:
    """A padded batch of prefix-shared sequences, one row per problem.

    Attributes:
        ids: token ids, int64, (batch, length); padding is id 0.
        positions: rotary positions, int64, (batch, length).
        branch: number of the query within its row that a token belongs to, ``SHARED`` for the problem's tokens, ``PADDING``; int32, (batch, length).
        limit: last shared token (column) that a token sees, int32, (batch, length).
        rows: row of each query, int64, (num_queries,).
        ends: column of its [END], likewise.
        reads: column of its read position, likewise.
    """

    ids: Ints
    positions: NDArray[np.int64]
    branch: NDArray[np.int32]
    limit: NDArray[np.int32]
    rows: NDArray[np.int64]
    ends: NDArray[np.int64]
    reads: NDArray[np.int64]


@dataclass(frozen=True)
class Wording:
    """The words of a query: the tokens before A, between A and B, and behind the last name, where its answer is read.

    Attributes:
        before, between, after: token ids; ``between`` stands only where there is a B.
        in_solution: the query goes on with the solution, so at t = 0 it stands behind [223] and not before it.
    """

    before: Ints
    between: Ints
    after: Ints
    in_solution: bool = False

    @classmethod
    def marked(cls, table: TokenTable) -> Wording:
        """[START] A [MID] B [END]: what the model has never read, and a probe learns to ask with."""
        start, mid, end = (np.array([marker], np.int64) for marker in table.probe_markers)
        return cls(start, mid, end)

    @classmethod
    def own(cls, table: TokenTable) -> Wording:
        """ " Define A as": the beginning of a sentence in the model's own format. There is no B."""
        return cls(table.fragment_ids(" Define").astype(np.int64), np.empty(0, np.int64), table.fragment_ids(" as").astype(np.int64), True)


class QueryTokens:
    """Queries over one problem set, of one task or several, ready to be packed.

    Args:
        batch: the problems; a query's ``problem`` is a row of it.
        queries: the columns problem, position, parameter and parameter_b of ``QUERY_SCHEMA``, sorted by problem. Of tasks only dep reads elsewhere
            than the others, and a query of dep is one with a parameter B.
        documents: the problems' tokens.
        table: token ids of names and markers.
        wording: what stands around the names; None: the markers.

    Attributes:
        problems: rows of ``batch`` that have queries, rising.
        starts: queries ``starts[i]`` to ``starts[i + 1]`` belong to ``problems[i]``.
    """

    def __init__(self, batch: ProblemBatch, queries: pa.Table, documents: Documents, table: TokenTable, wording: Wording | None = None) -> None:
        self.batch, self.queries, self.documents, self.table = batch, queries, documents, table
        self.wording = Wording.marked(table) if wording is None else wording
        self.problem, self.position = (queries.column(name).to_numpy() for name in ("problem", "position"))
        self._codes = [queries.column(name).to_numpy() for name in ("parameter", "parameter_b")]
        self.problems, starts = np.unique(self.problem, return_index=True)
        self.starts = np.append(starts, len(self.problem))

    def __len__(self) -> int:
        return len(self.problem)

    @property
    def label(self) -> NDArray[np.int64]:
        """True answer of each query, (num_queries,)."""
        return np.asarray(self.queries.column("label").to_numpy(), dtype=np.int64)

    def with_labels(self, labels: NDArray[np.integer]) -> QueryTokens:
        """The same queries with other answers, (num_queries,)."""
        place = self.queries.schema.get_field_index("label")
        column = pa.array(labels, self.queries.schema.field("label").type)
        return QueryTokens(self.batch, self.queries.set_column(place, "label", column), self.documents, self.table, self.wording)

    @property
    def markers(self) -> tuple[int, ...]:
        """Ids of the query's markers; none where it is asked in the model's own words."""
        return () if self.wording.in_solution else self.table.probe_markers

    def names(self, queries: Ints) -> tuple[tuple[NDArray[np.uint32], Ints], tuple[NDArray[np.uint32], Ints]]:
        """Tokens of the names A and B of some queries: ids and offsets of shape (queries + 1,) for each; empty names where there is no B."""
        row, chosen = self._runs(queries)
        batch = self.batch.take(chosen)
        first, second = (self._names(batch, row, codes[queries]) for codes in self._codes)
        return first, second

    def rows_of(self, chosen: Ints) -> Ints:
        """Query rows of some problems (indices into ``problems``), problem after problem in the order given."""
        return np.concatenate([np.empty(0, np.int64), *(np.arange(self.starts[one], self.starts[one + 1]) for one in chosen)])

    def lengths(self, block: int = 4096, *, whole: bool = False) -> Ints:
        """Tokens of each problem's sequence with all its queries, as ``pack`` lays it out, (len(problems),)."""
        found = [np.empty(0, np.int64)]
        for start in range(0, len(self.problems), block):
            parts = self._parts(self.rows_of(np.arange(start, min(start + block, len(self.problems)))), whole)
            found.append(parts.shared + np.bincount(parts.row, parts.sizes).astype(np.int64))
        return np.concatenate(found)

    def size(self, queries: Ints) -> int:
        """Tokens of the sequences of some queries, as ``pack`` lays them out, padding left out."""
        parts = self._parts(queries, whole=False)
        return int(parts.shared.sum() + parts.sizes.sum())

    def pack(self, queries: Ints, *, whole: bool = False) -> Sequences:
        """The sequences of some queries, one row per run of equal problems (at least one query).

        A run need not hold all queries of its problem: sharing is exact however they are divided.

        Args:
            queries: rows of the queries.
            whole: let every row hold its document up to the last sentence, whether a query reads it or not.
        """
        parts = self._parts(queries, whole)
        lengths = parts.shared + np.bincount(parts.row, parts.sizes).astype(np.int64)
        shape = (len(lengths), int(lengths.max()))
        ids, positions = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        branch, limit = np.full(shape, PADDING, np.int32), np.full(shape, -1, np.int32)
        ends = np.zeros(len(queries), np.int64)
        shared = (parts.row, parts.read, parts.shared, parts.documents.ids, parts.documents.offsets, parts.documents.eos)
        words = (self.wording.before, self.wording.between, self.wording.after)
        _pack(*shared, *parts.first, *parts.second, *words, ids, positions, branch, limit, ends)
        return Sequences(ids, positions, branch, limit, parts.row, ends, parts.read + 1)

    def stops(self, queries: Ints) -> Stops:
        """Where the sentences end in the rows of ``pack(queries, whole=True)``, the end of the question (t = 0) first."""
        chosen = self._runs(queries)[1]
        documents = self.documents.take(chosen)
        counts = np.diff(documents.sentence_offsets) + 1
        row = np.repeat(np.arange(len(chosen)), counts)
        position = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
        read = read_positions(documents, np.zeros(len(row), bool), row, position)
        return Stops(row, read + 1, chosen[row].astype(np.int32), position.astype(np.int16))

    def _runs(self, queries: Ints) -> tuple[Ints, NDArray[np.int32]]:
        """Row of each query, and the problem of each row."""
        problem = self.problem[queries]
        new = np.append(True, problem[1:] != problem[:-1])[: len(problem)]
        return np.cumsum(new) - 1, problem[new]

    def _parts(self, queries: Ints, whole: bool) -> _Parts:
        row, chosen = self._runs(queries)
        batch, documents = self.batch.take(chosen), self.documents.take(chosen)
        first, second = (self._names(batch, row, codes[queries]) for codes in self._codes)
        paired, words = self._codes[1][queries] != NOTHING, self.wording
        sizes = np.diff(first[1]) + np.diff(second[1]) + len(words.before) + len(words.after) + len(words.between) * paired
        read = read_positions(documents, paired, row, self.position[queries])
        read[self.position[queries] == 0] += words.in_solution
        shared = np.zeros(len(chosen), np.int64)
        np.maximum.at(shared, row, read + 2)
        if whole:
            np.maximum(shared, _ends(documents) + 2, out=shared)
        return _Parts(row, documents, read, shared, sizes, first, second)

    def _names(self, batch: ProblemBatch, row: Ints, codes: NDArray[np.uint8]) -> tuple[NDArray[np.uint32], Ints]:
        """Name ids and offsets, empty for ``NOTHING``."""
        named = codes != NOTHING
        parameters = parameters_of_codes(batch, row[named], codes[named])
        ids, offsets = name_ids(batch, self.table, row[named], parameters)
        sizes = np.zeros(len(codes), np.int64)
        sizes[named] = np.diff(offsets)
        return ids, np.append(0, np.cumsum(sizes))


@dataclass(frozen=True)
class Stops:
    """Ends of the question and of each sentence, (num_stops,) each: row and column of a packed batch, the problem, and t."""

    rows: Ints
    columns: Ints
    problem: NDArray[np.int32]
    position: NDArray[np.int16]


def _ends(documents: Emitted) -> Ints:
    """Position of each document's last sentence end; of the end of its prompt where it has none."""
    counts = np.diff(documents.sentence_offsets)
    found = documents.prompt_ends.astype(np.int64)
    found[counts > 0] = documents.sentence_ends[documents.sentence_offsets[1:][counts > 0] - 1]
    return found


@dataclass(frozen=True)
class _Parts:
    """What ``QueryTokens.pack`` lays out: per query its row, read position in the document, branch size and names; per row the shared tokens."""

    row: Ints
    documents: Emitted
    read: Ints
    shared: Ints
    sizes: Ints
    first: tuple[NDArray[np.uint32], Ints]
    second: tuple[NDArray[np.uint32], Ints]


def read_positions(documents: Emitted, dep: NDArray[np.bool_], document: Ints, position: NDArray[np.integer]) -> Ints:
    """Where queries are read: index of a token in its document, [222] counting as 0; int64, (num_queries,).

    Source: dep reads at the last "." of the problem's statements; the others at a sentence's end or, at t = 0, at the last token of the prompt text.

    Args:
        documents: ids and ends.
        dep: which queries are about dep.
        document: document of each query.
        position: its t.
    """
    found = np.where(dep, documents.problem_ends[document], documents.prompt_ends[document]).astype(np.int64)
    later = (position > 0) & ~dep
    found[later] = documents.sentence_ends[documents.sentence_offsets[document[later]] + position[later] - 1]
    return found


def parameters_of_codes(batch: ProblemBatch, row: Ints, codes: NDArray[np.uint8]) -> Ints:
    """(kind, layer, item, target) of parameter codes, int64, (num_queries, 4); pairs without an edge come as instance parameters."""
    out = np.zeros((len(row), 4), np.int64)
    _parameters(np.ascontiguousarray(batch.records["children"]), row, codes, out)
    return out


@kernel
def _parameters(children: NDArray[np.uint8], row: Ints, codes: NDArray[np.uint8], out: Ints) -> None:
    """See ``parameters_of_codes``."""
    for q in range(len(row)):
        code = np.int64(codes[q])
        if code >= NO_EDGE:
            rest = (code - NO_EDGE) % (MAX_WIDTH * MAX_WIDTH)
            out[q, 1], out[q, 2], out[q, 3] = (code - NO_EDGE) // (MAX_WIDTH * MAX_WIDTH), rest // MAX_WIDTH, rest % MAX_WIDTH
        elif code >= MAX_INSTANCES:
            out[q, 0] = 1
            out[q, 1], out[q, 2], out[q, 3] = abstract_place(code)
        else:
            out[q, 1], out[q, 2], out[q, 3] = edge_place(children[row[q]], code)


@kernel
def _put(row: Ints, column: int, words: NDArray[np.integer]) -> int:
    """Write token ids into a row from a column on; the column behind them."""
    for k in range(len(words)):
        row[column + k] = np.int64(words[k])
    return column + len(words)


@kernel
def _pack(
    row: Ints,
    read: Ints,
    shared: Ints,
    tokens: NDArray[np.uint32],
    offsets: Ints,
    eos: int,
    first: NDArray[np.uint32],
    first_offsets: Ints,
    second: NDArray[np.uint32],
    second_offsets: Ints,
    before: Ints,
    between: Ints,
    after: Ints,
    ids: Ints,
    positions: Ints,
    branch: NDArray[np.int32],
    limit: NDArray[np.int32],
    ends: Ints,
) -> None:
    """Lay out the padded arrays of ``Sequences``; every row starts with [50256], as prompts do."""
    for n in range(len(shared)):
        for column in range(shared[n]):
            ids[n, column] = eos if column == 0 else np.int64(tokens[offsets[n] + column - 1])
            positions[n, column], limit[n, column], branch[n, column] = column, column, SHARED
    column, number = 0, 0
    for q in range(len(row)):
        n = row[q]
        if q == 0 or row[q - 1] != n:
            column, number = shared[n], 0
        start = column
        column = _put(ids[n], column, before)
        column = _put(ids[n], column, first[first_offsets[q] : first_offsets[q + 1]])
        if second_offsets[q + 1] > second_offsets[q]:
            column = _put(ids[n], column, between)
            column = _put(ids[n], column, second[second_offsets[q] : second_offsets[q + 1]])
        column = _put(ids[n], column, after)
        for k in range(start, column):
            positions[n, k], limit[n, k], branch[n, k] = read[q] + 2 + k - start, read[q] + 1, number
        ends[q] = column - 1
        number += 1
