"""Blocks: the unit in which problems are made. A block is a function of (settings, block number) and of nothing else.

The op level of each slot of a block is drawn first; then proposals 0, 1, 2, ... of the block fill the slots of their op in order, if they pass
the split's hash test; a proposal whose op has no open slot is dropped. This is the law of proposals *given* op, at a tenth of its cost.
What a slot holds does not depend on the slots after it, so the first slots of a block can be made alone, for the price of these.

Source: arXiv:2407.20311, app. D (one op per problem, proposals until it is met).
Ours: ``op_law`` uniform also draws s uniformly (1..op_max); the bytes that the split hash is taken of where ``split_by`` is problem
(see ``details.problem_codes``).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from igsm_pipeline.errors import BadInput, StageFailed, whole_number
from igsm_pipeline.problems.calculation import Steps, new_steps
from igsm_pipeline.problems.kernel import Bool, Int, Ints, Row, Words, kernel
from igsm_pipeline.problems.law.details import WorldShape, complete_solution, complete_text, problem_codes, world_shape
from igsm_pipeline.problems.law.proposal import OP, Work, new_work, propose
from igsm_pipeline.problems.law.random import below, start
from igsm_pipeline.problems.law.reask import reask
from igsm_pipeline.problems.law.split import BINS, NUM_BINS, Hashing, codes_bin, fill_template_bins, new_hashing, template_bin
from igsm_pipeline.problems.law.unnecessary import draw_unnecessary
from igsm_pipeline.problems.problem import Problem
from igsm_pipeline.problems.record import MAX_SYMBOLS, RECORD, ProblemBatch, Records
from igsm_pipeline.problems.settings import FamilySettings, ProblemSetSettings
from igsm_pipeline.seeding import kernel_key
from igsm_pipeline.world import World

HOPELESS = 100_000
"""Proposals of an op, none of them in the split, after which a block gives the op up."""
RANGE_HOPELESS = 4 * HOPELESS
"""Ours: the same where no proposal had that op at all; among proposals of range data the rarest op of a family is a few in ten thousand."""

_BATCH = 1024  # proposals between two looks at the hopeless
_TARGETS = (1 << 32) - 1  # "draw number" of the generator that draws the slots' op levels
_REDRAWN = 1 << 34  # "draw numbers" from here on redraw the op of slot 0, 1, ...


class Rules(NamedTuple):
    """What a block kernel draws."""

    key: Words  # (4,) of the block
    block: Int
    exact_op: Int  # 0: drawn by the family's law
    op_max: Int
    ip_max: Int
    light: Bool
    modulus: Int
    num_symbols: Int
    by_problem: Bool
    accepted_bins: NDArray[np.bool_]  # (23,)
    shape: WorldShape


class Slots(NamedTuple):
    """The open slots of each op, and what became of the proposals of each op; all but ``order`` of shape (53,)."""

    order: Ints  # (num_slots,) slot numbers by (op, slot)
    next: Ints  # index into order of the first open slot of an op
    end: Ints  # one behind its last
    watched: Ints  # 1 where a slot may have that op
    taken: Ints  # proposals in the split
    refused: Ints  # proposals outside of it, where looked at


class Scratch(NamedTuple):
    """Memory that block kernels work in."""

    work: Work
    steps: Steps
    state: Words
    hashing: Hashing
    codes: Words


@kernel
def _accept(rules: Rules, scratch: Scratch, rec: Row) -> Bool:
    """Draw all of a record that follows the proposal in ``scratch``; False, and the record unfinished, where the split does not hold it."""
    work, state = scratch.work, scratch.state
    draw_unnecessary(state, work)
    complete_solution(state, work, scratch.steps, rec, rules.modulus)
    rec["template_bin"] = rec["split_bin"] = template_bin(rec, scratch.steps, scratch.hashing)
    if not rules.by_problem and not rules.accepted_bins[rec["template_bin"]]:
        return False
    complete_text(state, work, rec, rules.shape, rules.modulus, rules.num_symbols)
    if rules.by_problem:
        number = problem_codes(scratch.codes, rec, rules.shape)
        rec["split_bin"] = codes_bin(scratch.codes, number, scratch.hashing)
    return rules.accepted_bins[rec["split_bin"]]


@kernel
def _fill(first: Int, count: Int, missing: Int, rules: Rules, slots: Slots, scratch: Scratch, records: Records) -> Int:
    """Run proposals first..first+count-1 while slots are missing; returns how many still are.

    ``records`` has one row more than there are slots, for proposals that are only looked at: those of ops that the split is not yet known to hold.
    """
    work, state = scratch.work, scratch.state
    for draw in range(first, first + count):
        if missing == 0:
            break
        start(state, rules.key, draw)
        s = rules.exact_op
        if s == 0:
            s = 1 + below(state, rules.op_max)
            if rules.light:
                s = min(s, 1 + below(state, rules.op_max))
        if not propose(state, work, s, rules.ip_max) or work.facts[OP] > rules.num_symbols:
            continue
        op = work.facts[OP]
        is_open = slots.next[op] < slots.end[op]
        if not is_open and (slots.taken[op] or not slots.watched[op]):
            continue
        slot = slots.order[slots.next[op]] if is_open else len(records) - 1
        rec = records[slot]
        if not _accept(rules, scratch, rec):
            slots.refused[op] += 1
            continue
        slots.taken[op] += 1
        if is_open:
            rec["block"], rec["slot"], rec["draw"] = rules.block, slot, draw
            slots.next[op] += 1
            missing -= 1
    return missing


@kernel
def _draw_targets(state: Words, op_max: int, light: bool, targets: Ints) -> None:
    for slot in range(len(targets)):
        t0 = 1 + below(state, op_max)
        targets[slot] = min(t0, 1 + below(state, op_max)) if light else t0


@lru_cache(maxsize=8)
def cached_shape(world: World) -> WorldShape:
    """``world_shape``, made once per world."""
    return world_shape(world)


class BlockMaker:
    """Makes the blocks of one problem set; keeps the scratch memory between blocks."""

    def __init__(self, settings: ProblemSetSettings, world: World) -> None:
        self.settings, self.world = settings, world
        self._shape = cached_shape(world)
        self._scratch = Scratch(new_work(), new_steps(), np.zeros(4, np.uint64), new_hashing(), np.zeros(64, np.uint64))

    def make(self, block: int, num: int | None = None) -> ProblemBatch:
        """The first ``num`` problems of block number ``block``, or all of its ``block_size``.

        Raises:
            BadInput: there is no such block, or it has fewer problems.
            StageFailed: the split's bins, or the family, hold no problem of an asked-for exact op, or none at all.
        """
        settings, block = self.settings, _block_number(block)
        num = settings.block_size if num is None else whole_number("num", num, 0, settings.block_size, "ask for fewer, or for the next block")
        rules = self._rules(block)
        targets = self._targets(rules.key)[:num]
        slots = _open_slots(targets, np.arange(num), settings)
        records = np.zeros(num + 1, RECORD)
        missing, first = num, 0
        hopeless: set[int] = set()
        while missing:
            missing = _fill(first, _BATCH, missing, rules, slots, self._scratch, records)
            first += _BATCH
            lost = set(np.flatnonzero(_is_hopeless(slots, first, settings)).tolist()) - hopeless
            if lost and missing:
                hopeless |= lost
                still_open = np.concatenate([slots.order[slots.next[op] : slots.end[op]] for op in range(MAX_SYMBOLS + 1)])
                self._redraw(hopeless, targets, still_open, rules)
                slots = _open_slots(targets, np.sort(still_open), settings, slots)
        records = records[:num]
        if settings.reask:
            records = reask(records, rules.key, settings.family.num_symbols)
            fill_template_bins(records)
        return ProblemBatch(records, self.world, settings.family.modulus)

    def again(self, block: int, draw: int) -> ProblemBatch:
        """One problem from its key, without its block (a reasked one as it was before reasking). Its ``slot`` is 0.

        Raises:
            BadInput: that proposal of the block is no problem of the set.
        """
        block, draw = _block_number(block), whole_number("draw", draw, 0, _TARGETS - 1, "take it from a record of the set")
        slots = _open_slots(np.arange(MAX_SYMBOLS + 1), np.arange(MAX_SYMBOLS + 1), self.settings)
        records = np.zeros(MAX_SYMBOLS + 2, RECORD)
        if _fill(draw, 1, 1, self._rules(block), slots, self._scratch, records):
            raise BadInput("key", "must be the block and draw of a problem of the set", f"{block}:{draw}", "take both from a record of the set")
        records = records[slots.taken.argmax() :][:1].copy()
        records["slot"] = 0
        return ProblemBatch(records, self.world, self.settings.family.modulus)

    def _rules(self, block: int) -> Rules:
        settings, family = self.settings, self.settings.family
        accepted = np.array([number in BINS[settings.split] for number in range(NUM_BINS)])
        return Rules(
            kernel_key(settings.seed, settings.stream, block), block, settings.op or 0, family.op_max, family.ip_max, family.op_law == "light",
            family.modulus, family.num_symbols, family.split_by == "problem", accepted, self._shape,
        )  # fmt: skip

    def _targets(self, key: Words) -> Ints:
        settings, family = self.settings, self.settings.family
        targets = np.zeros(settings.block_size, np.int64)
        if settings.law == "exact":
            targets[:] = settings.op or 0
        elif settings.balanced:
            targets[:] = 1 + np.arange(settings.block_size) % family.op_max
        else:
            start(self._scratch.state, key, _TARGETS)
            _draw_targets(self._scratch.state, family.op_max, family.op_law == "light", targets)
        return targets

    def _redraw(self, hopeless: set[int], targets: Ints, still_open: Ints, rules: Rules) -> None:
        """Ops that the family or the split does not hold: draw the op of their open slots again, each until it is another one."""
        if self.settings.law == "exact" or hopeless >= set(range(1, rules.op_max + 1)):
            ops = ", ".join(str(op) for op in sorted(hopeless))
            raise StageFailed(f"no {self.settings.split} problem of op {ops} in {HOPELESS} proposals; choose another op, split or family")
        state = self._scratch.state
        for slot in still_open.tolist():
            if int(targets[slot]) in hopeless:
                start(state, rules.key, _REDRAWN + slot)
                while int(targets[slot]) in hopeless:
                    _draw_targets(state, rules.op_max, rules.light, targets[slot : slot + 1])


def _block_number(block: int) -> int:
    return whole_number("block", block, 0, (1 << 32) - 1, "a record has room for no other number")


def _open_slots(targets: Ints, numbers: Ints, settings: ProblemSetSettings, before: Slots | None = None) -> Slots:
    """The slots of some numbers, by the op of their targets; counts go on from ``before``."""
    ops = np.arange(MAX_SYMBOLS + 1)
    order = numbers[np.argsort(targets[numbers], kind="stable")]
    begin, end = (np.searchsorted(targets[order], ops, side) for side in ("left", "right"))
    watched = ops == settings.op if settings.law == "exact" else (ops >= 1) & (ops <= settings.family.op_max)
    taken, refused = (np.zeros(len(ops), np.int64) for _ in range(2)) if before is None else (before.taken, before.refused)
    return Slots(order, begin.astype(np.int64), end.astype(np.int64), watched.astype(np.int64), taken, refused)


def _is_hopeless(slots: Slots, proposals: int, settings: ProblemSetSettings) -> NDArray[np.bool_]:
    """Which ops are given up after so many proposals of the block; does not depend on how many slots are made. Shape (53,)."""
    enough = proposals >= (HOPELESS if settings.law == "exact" else RANGE_HOPELESS)
    found: NDArray[np.bool_] = (slots.watched > 0) & (slots.taken == 0) & ((slots.refused >= HOPELESS) | (enough & (slots.refused == 0)))
    return found


def generate_block(settings: ProblemSetSettings, world: World, block: int) -> ProblemBatch:
    """One block of a problem set.

    Example:
        >>> from igsm_pipeline.problems import ProblemSetSettings, family_by_name
        >>> from igsm_pipeline.world import load_world
        >>> settings = ProblemSetSettings(family=family_by_name("med"), num_problems=3, block_size=3)
        >>> batch = generate_block(settings, load_world("igsm"), 0)
        >>> len(batch), batch[0].op, batch[0].name(batch[0].query)
        (3, 3, "Textbook Hauler's Stationery")
    """
    return BlockMaker(settings, world).make(block)


def generate(settings: ProblemSetSettings, world: World) -> Iterator[ProblemBatch]:
    """All blocks of a problem set, the last one cut to ``num_problems``.

    Example:
        >>> from igsm_pipeline.problems import ProblemSetSettings, family_by_name
        >>> from igsm_pipeline.world import load_world
        >>> settings = ProblemSetSettings(family=family_by_name("med"), num_problems=3, block_size=3)
        >>> [len(batch) for batch in generate(settings, load_world("igsm"))]
        [3]
    """
    maker = BlockMaker(settings, world)
    for block in range(-(-settings.num_problems // settings.block_size)):
        yield maker.make(block, min(settings.block_size, settings.num_problems - block * settings.block_size))


def draw_test_problem(family: FamilySettings, world: World, op: int | None, seed: int) -> Problem:
    """One test problem, the same for the same arguments, by the family's law or with exactly ``op`` operations.

    Raises:
        BadSettings: the family has no problems of so many operations.
        StageFailed: the test split has no such problem.
    """
    law = "range" if op is None else "exact"
    drawn = {"family": family, "law": law, "op": op, "split": "test", "num_problems": 1, "block_size": 1, "seed": seed, "stream": "solve"}
    settings = ProblemSetSettings.parse(drawn, "solve")
    return next(iter(generate(settings, world)))[0]


def regenerate(settings: ProblemSetSettings, world: World, block: int, draw: int) -> ProblemBatch:
    """One problem from its key, without its block (a reasked one as it was before reasking). Its ``slot`` is 0.

    Raises:
        BadInput: that proposal of the block is no problem of the set.

    Example:
        >>> from igsm_pipeline.problems import ProblemSetSettings, family_by_name
        >>> from igsm_pipeline.world import load_world
        >>> settings = ProblemSetSettings(family=family_by_name("med"), num_problems=3, block_size=3)
        >>> batch = generate_block(settings, load_world("igsm"), 0)
        >>> regenerate(settings, load_world("igsm"), 0, int(batch.records[1]["draw"]))[0] == batch[1]
        True
    """
    return BlockMaker(settings, world).again(block, draw)


def family_by_name(name: str) -> FamilySettings:
    """The paper's families: ``med`` or ``hard``.

    Raises:
        BadInput: another name.

    Example:
        >>> family_by_name("med").op_max
        15
    """
    if name not in ("med", "hard"):
        raise BadInput("family", "must be med or hard", name, "name one of them, or make another with FamilySettings(op_max=4)")
    return FamilySettings(op_max=15, ip_max=20) if name == "med" else FamilySettings(op_max=21, ip_max=28)
