"""Training windows that are made while they are read: worker processes make problems, token ids and windows; the result does not depend on them.

The stream is an endless sequence of shards. Shard n has, in shuffled order, the windows that the stage ``token_shards`` would make of the blocks from
n * blocks_per_shard on; it depends on the settings and n alone. Where drills lead, the first shards have a tenth of their problems and nine times as
many drills. Windows are numbered across shards.

Source: the paper trains on fresh problems throughout. Ours: everything else. A shard's windows are permuted by the generator that permutes epoch n of
stored windows, so that one stored shard and a stream give the same batches until the shard has been read.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from igsm_pipeline import seeding
from igsm_pipeline.errors import StageFailed
from igsm_pipeline.problems.law.blocks import BlockMaker
from igsm_pipeline.problems.record import ProblemBatch
from igsm_pipeline.problems.settings import FamilySettings, ProblemSetSettings
from igsm_pipeline.processes.pools import begin_worker, worker_pool
from igsm_pipeline.tokens import TokenSettings, TokenTable, build_table
from igsm_pipeline.tokens.settings import LEAD_SHARE
from igsm_pipeline.tokens.windows import windows_of
from igsm_pipeline.training.settings import StreamSettings
from igsm_pipeline.world import World

Shard = tuple[NDArray[Any], NDArray[np.int32]]
"""A shard: ids, shape (num_windows, window), and real tokens per window, shape (num_windows,)."""


@dataclass(frozen=True)
class ShardMaker:
    """Makes any shard of one stream.

    Attributes:
        stream: window, alignment, seed, sizes.
        family: settings of the problems.
        tokens: segmentation and vocabulary.
        world: the names in the problems.
        order_seed: seed of the order within shards.
    """

    stream: StreamSettings
    family: FamilySettings
    tokens: TokenSettings
    world: World
    order_seed: int

    @cached_property
    def table(self) -> TokenTable:
        """The token table."""
        return build_table(self.world, self.family.modulus, self.tokens)

    @cached_property
    def blocks(self) -> BlockMaker:
        """Makes the problems: those of the training set of a stored experiment with this family, block size and seed."""
        per_shard = self.stream.blocks_per_shard * self.stream.block_size
        return BlockMaker(
            ProblemSetSettings(family=self.family, num_problems=per_shard, block_size=self.stream.block_size, seed=self.stream.seed), self.world
        )

    def make(self, number: int) -> Shard:
        """Make shard ``number``, counted from 0.

        Raises:
            StageFailed: all its problems are longer than a window.
        """
        stream, first = self.stream, number * self.stream.blocks_per_shard
        wanted = stream.blocks_per_shard * stream.block_size
        if number < stream.drills.lead:  # drills take the place of the others
            wanted = max(1, round(wanted * (1 - LEAD_SHARE)))
        blocks = range(first, first + -(-wanted // stream.block_size))
        records = np.concatenate([self.blocks.make(block).records for block in blocks])[:wanted]
        packed = windows_of(ProblemBatch(records, self.world, self.family.modulus), self.table, self.family, stream, number)
        if not packed.kept.any():
            raise StageFailed(f"all {len(records)} problems are longer than shards.window, which is {self.stream.window}: raise it")
        order = seeding.generator(self.order_seed, "training.order", number).permutation(len(packed.lengths))
        return packed.tokens.astype(np.uint16 if self.table.size <= 1 << 16 else np.uint32)[order], packed.lengths[order]


class StreamedWindows:
    """An endless source of windows. Use it in a ``with`` block, which owns the worker processes.

    Args:
        maker: makes the shards.
        workers: processes that make shards ahead of the reader; with 0, the reader makes each shard when it is needed.
    """

    num_windows = None

    def __init__(self, maker: ShardMaker, workers: int = 1) -> None:
        self.maker, self.workers = maker, workers
        self.window = maker.stream.window
        self._first = 0  # number of the first shard whose place is known
        self._starts = [0]  # first window of shards _first, _first + 1, ...; the last of them is not made yet
        self._shards: dict[int, Shard] = {}
        self._ahead: dict[int, Future[Shard]] = {}
        self._pool: ProcessPoolExecutor | None = None
        self._open = ExitStack()

    def __enter__(self) -> Self:
        if self.workers:
            self._pool = self._open.enter_context(worker_pool(self.workers, _prepare, (self.maker,)))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._open.__exit__(kind, error, trace)
        self._pool = None
        self._ahead.clear()

    def position(self, index: int) -> dict[str, int]:
        """The shard of window ``index``, and that shard's first window; all windows before ``index`` must have been read."""
        place = bisect.bisect_right(self._starts, index) - 1
        return {"shard": self._first + place, "first_window": self._starts[place]}

    def resume(self, position: Mapping[str, int]) -> None:
        """Begin at a place that an earlier run recorded, and start the workers there; shards before it are not made."""
        self._first, self._starts = int(position["shard"]), [int(position["first_window"])]
        self._shards.clear()
        self._look_ahead(self._first)

    def read(self, indices: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Read windows by number, from the place of the last ``resume`` (or 0) on: ids, shape (len(indices), window), and real tokens per window.

        Raises:
            StageFailed: a shard has no window.
        """
        while self._starts[-1] <= int(indices.max(initial=-1)):
            number = self._first + len(self._starts) - 1
            self._starts.append(self._starts[-1] + len(self._shard(number)[1]))
        places = np.searchsorted(self._starts, indices, side="right") - 1
        numbers = sorted({int(place) for place in places})
        tokens = np.empty((len(indices), self.window), np.uint32)
        lengths = np.empty(len(indices), np.int32)
        for place in numbers:
            rows = np.flatnonzero(places == place)
            ids, real = self._shard(self._first + place)
            within = indices[rows] - self._starts[place]
            tokens[rows], lengths[rows] = ids[within], real[within]
        for number in [number for number in self._shards if numbers and number < self._first + numbers[0]]:
            del self._shards[number]
        return tokens, lengths

    def _shard(self, number: int) -> Shard:
        if number not in self._shards:
            self._look_ahead(number)
            waiting = self._ahead.pop(number, None)
            self._shards[number] = waiting.result() if waiting is not None else self.maker.make(number)
            self._look_ahead(number + 1)
        return self._shards[number]

    def _look_ahead(self, number: int) -> None:
        """Let the workers make shard ``number`` and, for each worker, one more."""
        if self._pool is not None:
            for one in range(number, number + self.workers):
                if one not in self._ahead and one not in self._shards:
                    self._ahead[one] = self._pool.submit(_make, one)


_maker: ShardMaker | None = None


def _prepare(maker: ShardMaker) -> None:
    """Set up a worker process."""
    global _maker  # noqa: PLW0603  (a worker's one piece of state: tables and scratch memory that every shard needs)
    begin_worker()
    _maker = maker


def _make(number: int) -> Shard:
    assert _maker is not None
    return _maker.make(number)
