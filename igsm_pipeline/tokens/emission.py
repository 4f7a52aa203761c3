"""From records straight to token ids: no text, no BPE, one kernel.

A document is walked as a list of fragment numbers (``tokens.walk``), which the table turns into token ids. The kernel follows the same law as
``text.render_problem`` and is tested against it document by document.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from igsm_pipeline.errors import BadInput
from igsm_pipeline.problems.anatomy import MAX_INSTANCES, NUM_PARAMETERS, list_edges, parameter_place
from igsm_pipeline.problems.kernel import Bool, Int, Ints, kernel
from igsm_pipeline.problems.record import ProblemBatch, Records
from igsm_pipeline.tokens import fragments as F  # noqa: N812 (a namespace of fragment numbers)
from igsm_pipeline.tokens.table import Ids, TokenTable
from igsm_pipeline.tokens.walk import ROOM, Numbers, Walking, name_parts, new_walking, walk_document

_Found = tuple[Ids, NDArray[np.int64], NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]


@dataclass(frozen=True)
class Emitted:
    """Token ids of many documents.

    All positions count from the document's first token, [222], which is 0; prompts have one more token before it.

    Attributes:
        ids: token ids of all documents, one after another.
        offsets: document i is ``ids[offsets[i]:offsets[i + 1]]``. Shape (num_problems + 1,).
        prompt_ends: position of the last token before [223]. Shape (num_problems,).
        problem_ends: position of the last "." of the problem's statements. Shape (num_problems,).
        sentence_ends: positions of the "." that closes each solution sentence, problem after problem.
        sentence_offsets: problem i has ``sentence_ends[sentence_offsets[i]:sentence_offsets[i + 1]]``. Shape (num_problems + 1,).
        eos: id of [50256].
    """

    ids: Ids
    offsets: NDArray[np.int64]
    prompt_ends: NDArray[np.int32]
    problem_ends: NDArray[np.int32]
    sentence_ends: NDArray[np.int32]
    sentence_offsets: NDArray[np.int64]
    eos: int

    def __len__(self) -> int:
        return len(self.prompt_ends)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens per document. Shape (num_problems,)."""
        return np.diff(self.offsets)

    def document(self, index: int) -> Ids:
        """[222] problem and question [223] solution [224] answer [50256] of one problem."""
        return self.ids[self.offsets[index] : self.offsets[index + 1]]

    def prompt(self, index: int) -> Ids:
        """[50256, 222] problem and question [223] of one problem."""
        start = self.offsets[index]
        return np.concatenate((np.array([self.eos], np.uint32), self.ids[start : start + self.prompt_ends[index] + 2]))

    def completion(self, index: int) -> Ids:
        """What follows the prompt: solution [224] answer [50256]."""
        return self.ids[self.offsets[index] + self.prompt_ends[index] + 2 : self.offsets[index + 1]]

    def sentences(self, index: int) -> NDArray[np.int32]:
        """Positions of the "." of each solution sentence of one problem."""
        return self.sentence_ends[self.sentence_offsets[index] : self.sentence_offsets[index + 1]]


def emit(batch: ProblemBatch, table: TokenTable, format: Literal["pq", "qp"]) -> Emitted:
    """Token ids and read positions of every problem of a batch.

    Args:
        batch: problems of the table's world and modulus.
        table: gives the ids.
        format: problem then question, or question then problem.

    Raises:
        BadInput: the batch is of another world or modulus than the table, or there is no such format.

    Example:
        >>> from igsm_pipeline.problems import ProblemSetSettings, family_by_name, generate_block
        >>> from igsm_pipeline.world import load_world
        >>> settings = ProblemSetSettings(family=family_by_name("med"), num_problems=3, block_size=3)
        >>> batch = generate_block(settings, load_world("igsm"), 0)
        >>> from igsm_pipeline.tokens import TokenSettings, build_table
        >>> table = build_table(batch.world, batch.modulus, TokenSettings(segmentation="phrase"))
        >>> emitted = emit(batch, table, "pq")
        >>> table.decode(emitted.document(0)).endswith(" 6")
        True
    """
    if (batch.world.content_hash, batch.modulus) != (table.world_hash, table.modulus):
        named, got = f"({table.world_hash[:8]}) and modulus ({table.modulus})", (batch.world.content_hash[:8], batch.modulus)
        raise BadInput("batch", f"must be of the table's world {named}", got, "build the table for the batch's own")
    if format not in ("pq", "qp"):
        raise BadInput("format", "must be pq or qp", format, "write pq for problem then question, qp for question then problem")
    ids, offsets, prompt_ends, problem_ends, sentence_ends, sentence_offsets = _emit(
        batch.records, format == "qp", batch.modulus, table.fragments.layout, table.fragments.item_starts, table.pieces, table.starts,
        new_walking(),
    )  # fmt: skip
    return Emitted(ids, offsets, prompt_ends, problem_ends, sentence_ends, sentence_offsets, table.eos)


def name_ids(batch: ProblemBatch, table: TokenTable, rows: NDArray[np.integer], parameters: NDArray[np.integer]) -> tuple[Ids, NDArray[np.int64]]:
    """Token ids of parameter names, " {item}'s {item or category}", as they stand after " Define".

    Args:
        batch: problems of the table's world.
        table: gives the ids.
        rows: problem of each query, an index into the batch. Shape (queries,).
        parameters: parameter ids, shape (queries,), or (kind, layer, item, target) as in ``problems.Parameter``, shape (queries, 4), which also
            reaches pairs of items without an edge.

    Returns:
        ids, one name after another, and offsets of shape (queries + 1,).

    Raises:
        BadInput: the batch is of another world than the table.
    """
    if batch.world.content_hash != table.world_hash:
        raise BadInput(
            "batch", f"must be of the table's world ({table.world_hash[:8]})", batch.world.content_hash[:8], "build the table for its world"
        )
    places: Ints = np.ascontiguousarray(rows, np.int64)
    wanted: Ints = np.ascontiguousarray(parameters, np.int64)
    if wanted.ndim == 1:
        wanted = _parameters_of(batch.records, places, wanted)
    return _name_ids(batch.records, places, wanted, table.fragments.layout, table.fragments.item_starts, table.pieces, table.starts)


@kernel
def _put(fragment: Int, pieces: Ids, starts: Numbers, ids: Ids, end: Int) -> Int:
    for k in range(starts[fragment], starts[fragment + 1]):
        ids[end] = pieces[k]
        end += 1
    return end


@kernel
def _emit(
    records: Records, question_first: Bool, modulus: Int, layout: Numbers, item_starts: Numbers, pieces: Ids, starts: Numbers, walking: Walking
) -> _Found:
    """The arrays of ``Emitted``, in its order."""
    num = len(records)
    walked = np.empty(ROOM, np.int32)
    offsets, sentence_offsets = np.zeros(num + 1, np.int64), np.zeros(num + 1, np.int64)
    prompt_ends, problem_ends = np.zeros(num, np.int32), np.zeros(num, np.int32)
    ids, sentence_ends = np.empty(512 * (num + 1), np.uint32), np.empty(16 * (num + 1), np.int32)
    end, num_sentences = 0, 0
    for i in range(num):
        n = walk_document(records[i], question_first, modulus, layout, item_starts, walking, walked)
        needed = 0
        for k in range(n):
            needed += starts[walked[k] + 1] - starts[walked[k]]
        if end + needed > len(ids):
            grown = np.empty(2 * (end + needed), np.uint32)
            grown[:end] = ids[:end]
            ids = grown
        if num_sentences + NUM_PARAMETERS > len(sentence_ends):
            more = np.empty(2 * (num_sentences + NUM_PARAMETERS), np.int32)
            more[:num_sentences] = sentence_ends[:num_sentences]
            sentence_ends = more
        solving = False
        for k in range(n):
            fragment = walked[k]
            if fragment == F.SOLUTION:
                solving = True
                prompt_ends[i] = end - offsets[i] - 1
            end = _put(fragment, pieces, starts, ids, end)
            if fragment == F.DOT and solving:
                sentence_ends[num_sentences] = end - offsets[i] - 1
                num_sentences += 1
            elif fragment == F.DOT:
                problem_ends[i] = end - offsets[i] - 1
        offsets[i + 1], sentence_offsets[i + 1] = end, num_sentences
    return ids[:end].copy(), offsets, prompt_ends, problem_ends, sentence_ends[:num_sentences].copy(), sentence_offsets


@kernel
def _parameters_of(records: Records, rows: Ints, parameters: Ints) -> Ints:
    """(kind, layer, item, target) of parameter ids."""
    out, edges = np.zeros((len(rows), 4), np.int64), np.empty((MAX_INSTANCES, 3), np.int64)
    last = -1
    for q in range(len(rows)):
        if rows[q] != last:
            list_edges(records[rows[q]]["children"], edges)
            last = rows[q]
        out[q, 0], out[q, 1], out[q, 2], out[q, 3] = parameter_place(edges, parameters[q])
    return out


@kernel
def _name_ids(
    records: Records, rows: Ints, wanted: Ints, layout: Numbers, item_starts: Numbers, pieces: Ids, starts: Numbers
) -> tuple[Ids, NDArray[np.int64]]:
    num = len(rows)
    offsets, parts, total = np.zeros(num + 1, np.int64), np.empty((num, 2), np.int64), 0
    for q in range(num):
        row = records[rows[q]]
        parts[q, 0], parts[q, 1], _ = name_parts(row, wanted[q, 0], wanted[q, 1], wanted[q, 2], wanted[q, 3], layout, item_starts)
        for k in range(2):
            total += starts[parts[q, k] + 1] - starts[parts[q, k]]
        offsets[q + 1] = total
    ids, end = np.empty(total, np.uint32), 0
    for q in range(num):
        for k in range(2):
            end = _put(parts[q, k], pieces, starts, ids, end)
    return ids, offsets
