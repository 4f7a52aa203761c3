"""Blocks: the unit in which problems are made. A block is a function of (settings, block number) and of nothing else.

The op level of each slot of a block is drawn first; then proposals 0, 1, 2, ... of the block fill the slots of their op in order, if they pass
the split's hash test; a proposal whose op has no open slot is dropped. This is the law of proposals *given* op, at a tenth of its cost.

Source: arXiv:2407.20311, app. D (one op per problem, proposals until it is met).
Ours: ``op_law`` uniform also draws s uniformly (1..op_max); the bytes that the split hash is taken of where ``split_by`` is problem
(see ``complete.problem_codes``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from igsm_pipeline.errors import StageFailed
from igsm_pipeline.problems import law
from igsm_pipeline.problems.complete import WorldShape, complete, count_edges, problem_codes, template_bytes, world_shape
from igsm_pipeline.problems.kernel import Bytes, Int, Ints, Row, Words, kernel
from igsm_pipeline.problems.law import Work, new_work, propose
from igsm_pipeline.problems.random import below, start
from igsm_pipeline.problems.reask import reask
from igsm_pipeline.problems.record import MAX_SYMBOLS, RECORD, ProblemBatch, Records
from igsm_pipeline.problems.settings import FamilySettings, ProblemSetSettings
from igsm_pipeline.problems.steps import Steps, new_steps
from igsm_pipeline.problems.template import template_of
from igsm_pipeline.problems.unnecessary import draw_unnecessary
from igsm_pipeline.seeding import kernel_key
from igsm_pipeline.world import World

NUM_BINS = 23
TRAIN_BINS = frozenset(range(16))
TEST_BINS = frozenset(range(17, NUM_BINS))
BINS = {"train": TRAIN_BINS, "test": TEST_BINS, "all": frozenset(range(NUM_BINS))}
"""Ours: bin 16 is train in the paper and test in the released code, so it is neither here."""

HOPELESS = 100_000
"""Proposals of an op, none of them taken, after which the op is given up."""
RANGE_HOPELESS = 4 * HOPELESS
"""Ours: the same where no proposal had that op at all; among proposals of range data the rarest op of a family is a few in ten thousand."""

_BATCH = 1024
_HASH_BYTES = 4096
_TARGETS = (1 << 32) - 1  # "draw number" of the generator that draws the slots' op levels


@kernel
def _fill_batch(
    key: Words, first: int, count: int, exact_op: int, op_max: int, ip_max: int, light: bool, modulus: int, num_symbols: int,
    wanted: NDArray[np.bool_],
    shape: WorldShape, work: Work, steps: Steps, state: Words, records: Records, templates: Bytes, lengths: Ints,
) -> int:  # fmt: skip
    """Run proposals first..first+count-1; those of a wanted op are written in order. Returns how many were."""
    found = 0
    for draw in range(first, first + count):
        start(state, key, draw)
        s = exact_op
        if exact_op == 0:
            s = 1 + (min(below(state, op_max), below(state, op_max)) if light else below(state, op_max))
        if not propose(state, work, s, ip_max) or work.facts[law.OP] > num_symbols or not wanted[work.facts[law.OP]]:
            continue
        draw_unnecessary(state, work)
        rec = records[found]
        complete(state, work, steps, rec, shape, modulus, num_symbols)
        rec["draw"] = draw
        lengths[found] = template_bytes(templates[found], steps, rec)
        found += 1
    return found


@kernel
def _draw_targets(state: Words, op_max: int, light: bool, targets: Ints) -> None:
    for slot in range(len(targets)):
        t0 = 1 + below(state, op_max)
        targets[slot] = min(t0, 1 + below(state, op_max)) if light else t0


@kernel
def _code_bytes(rec: Row, shape: WorldShape, out: Words) -> Int:
    return problem_codes(out, rec, shape, count_edges(rec))


@lru_cache(maxsize=8)
def cached_shape(world: World) -> WorldShape:
    """``world_shape``, made once per world."""
    return world_shape(world)


def hash_bin(data: bytes) -> int:
    """SHA-256 of some bytes, as a big-endian number, mod 23."""
    return int.from_bytes(hashlib.sha256(data).digest(), "big") % NUM_BINS


class BlockMaker:
    """Makes the blocks of one problem set; keeps the scratch memory between blocks."""

    def __init__(self, settings: ProblemSetSettings, world: World) -> None:
        self.settings, self.world = settings, world
        self._shape = cached_shape(world)
        self._work, self._steps, self._state = new_work(), new_steps(), np.zeros(4, np.uint64)
        self._records = np.zeros(_BATCH, RECORD)
        self._templates = np.zeros((_BATCH, _HASH_BYTES), np.uint8)
        self._lengths = np.zeros(_BATCH, np.int64)
        self._codes = np.zeros(64, np.uint64)

    def make(self, block: int) -> ProblemBatch:
        """Block number ``block``: ``block_size`` problems (the last block of a set is cut by ``generate``).

        Raises:
            StageFailed: the split's bins, or the family, hold no problem of an asked-for exact op, or none at all.
        """
        settings, family = self.settings, self.settings.family
        key = kernel_key(settings.seed, settings.stream, block)
        targets = self._targets(key)
        open_slots = _slots_by_op(targets)
        refused = np.zeros(len(open_slots), np.int64)  # by the split, since the last one taken
        waiting_since = np.zeros(len(open_slots), np.int64)  # proposal that was taken last, or that found no slot open
        records = np.zeros(settings.block_size, RECORD)
        first, missing = 0, settings.block_size
        hopeless: set[int] = set()
        while missing:
            count = min(_BATCH, max(64, 2 * missing))
            for draw, record in self._candidates(key, first, count, open_slots):
                op = int(record["op"])
                if not open_slots[op]:
                    continue
                if int(record["split_bin"]) not in BINS[settings.split]:
                    refused[op] += 1
                    continue
                slot = open_slots[op].pop()
                refused[op] = 0
                records[slot] = record
                records[slot]["block"], records[slot]["slot"], records[slot]["draw"] = block, slot, draw
                missing -= 1
                waiting_since[op] = draw
            first += count
            waiting_since[[not slots for slots in open_slots]] = first
            unseen = first - waiting_since >= (HOPELESS if settings.law == "exact" else RANGE_HOPELESS)
            for op in np.flatnonzero((refused >= HOPELESS) | (unseen & (refused == 0))).tolist():
                if open_slots[op]:
                    hopeless.add(op)
                    self._give_up(hopeless, open_slots, key)
        if settings.reask:
            records = reask(records, key, family.num_symbols)
            self._hash_templates(records)
        return ProblemBatch(records, self.world, family.modulus)

    def _targets(self, key: Words) -> Ints:
        settings, family = self.settings, self.settings.family
        targets = np.zeros(settings.block_size, np.int64)
        if settings.law == "exact":
            targets[:] = settings.op or 0
        elif settings.balanced:
            targets[:] = 1 + np.arange(settings.block_size) % family.op_max
        else:
            start(self._state, key, _TARGETS)
            _draw_targets(self._state, family.op_max, family.op_law == "light", targets)
        return targets

    def _give_up(self, hopeless: set[int], open_slots: list[list[int]], key: Words) -> None:
        """Ops that the family or the split does not hold: draw the op of their open slots again, each until it is another one."""
        family = self.settings.family
        if self.settings.law == "exact" or hopeless >= set(range(1, family.op_max + 1)):
            ops = ", ".join(str(op) for op in sorted(hopeless))
            raise StageFailed(f"no {self.settings.split} problem of op {ops} in {HOPELESS} proposals; choose another op, split or family")
        slots = [slot for op in sorted(hopeless) for slot in reversed(open_slots[op])]
        for op in hopeless:
            open_slots[op] = []
        start(self._state, key, _TARGETS - len(hopeless))
        target = np.zeros(1, np.int64)
        for slot in slots:
            while target[0] == 0 or int(target[0]) in hopeless:
                _draw_targets(self._state, family.op_max, family.op_law == "light", target)
            open_slots[int(target[0])].insert(0, slot)
            target[0] = 0

    def _candidates(self, key: Words, first: int, count: int, open_slots: list[list[int]]) -> Iterator[tuple[int, Row]]:
        family = self.settings.family
        wanted = np.array([bool(slots) for slots in open_slots])
        found = _fill_batch(
            key, first, count, self.settings.op or 0, family.op_max, family.ip_max, family.op_law == "light", family.modulus, family.num_symbols,
            wanted,
            self._shape, self._work, self._steps, self._state, self._records, self._templates, self._lengths,
        )  # fmt: skip
        for index in range(found):
            record = self._records[index]
            record["template_bin"] = hash_bin(self._templates[index, : self._lengths[index]].tobytes())
            record["split_bin"] = record["template_bin"]
            if family.split_by == "problem":
                number = _code_bytes(record, self._shape, self._codes)
                record["split_bin"] = hash_bin(self._codes[:number].tobytes())
            yield int(record["draw"]), record

    def _hash_templates(self, records: Records) -> None:
        for record in records:
            record["template_bin"] = hash_bin(template_of(record))


def _slots_by_op(targets: Ints) -> list[list[int]]:
    """For each op, its slots, last first (so that ``pop`` fills them in order)."""
    slots: list[list[int]] = [[] for _ in range(MAX_SYMBOLS + 1)]
    for slot in range(len(targets) - 1, -1, -1):
        slots[targets[slot]].append(slot)
    return slots


def generate_block(settings: ProblemSetSettings, world: World, block: int) -> ProblemBatch:
    """One block of a problem set."""
    return BlockMaker(settings, world).make(block)


def generate(settings: ProblemSetSettings, world: World) -> Iterator[ProblemBatch]:
    """All blocks of a problem set, the last one cut to ``num_problems``."""
    maker = BlockMaker(settings, world)
    for block in range(-(-settings.num_problems // settings.block_size)):
        batch = maker.make(block)
        left = settings.num_problems - block * settings.block_size
        yield batch.take(slice(0, left)) if left < settings.block_size else batch


def regenerate(settings: ProblemSetSettings, world: World, block: int, draw: int) -> ProblemBatch:
    """One problem from its key, without its block (a reasked one as it was before reasking). Its ``slot`` is 0."""
    maker = BlockMaker(settings, world)
    key = kernel_key(settings.seed, settings.stream, block)
    every_op = [[0] for _ in range(MAX_SYMBOLS + 1)]
    record = np.zeros(1, RECORD)
    for _, found in maker._candidates(key, draw, 1, every_op):
        record[0] = found
    record["block"] = block
    return ProblemBatch(record, world, settings.family.modulus)


def family_by_name(name: str) -> FamilySettings:
    """The paper's families: ``med`` or ``hard``.

    Raises:
        KeyError: another name.
    """
    return {"med": FamilySettings(op_max=15, ip_max=20), "hard": FamilySettings(op_max=21, ip_max=28)}[name]
