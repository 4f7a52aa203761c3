"""Several micro-batches at once on a CPU: one thread per core, each with a micro-batch of its own.

Ours: inside one operation of a small model, several threads are idle most of the time; with a micro-batch per thread they are not
(benchmarks/training.py). Gradients are added in the order of the micro-batches, so the sum does not depend on the number of threads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

Part = TypeVar("Part")
_Done = tuple[Tensor, tuple[Tensor | None, ...]]


class Lanes(Generic[Part]):
    """Adds up the gradients of the parts of a batch.

    Attributes:
        loss_of: part -> (the scalar to differentiate, the scalar to report).
        parameters: the parameters whose ``grad`` is filled.
        count: number of threads, each on one core; 1 starts no thread.
    """

    def __init__(self, loss_of: Callable[[Part], tuple[Tensor, Tensor]], parameters: list[nn.Parameter], count: int) -> None:
        self.loss_of, self.parameters, self.count = loss_of, parameters, count
        self._pool = ThreadPoolExecutor(count, "lanes", initializer=torch.set_num_threads, initargs=(1,)) if count > 1 else None

    def accumulate(self, parts: Iterable[Part]) -> Tensor:
        """Add the gradient of every part to the parameters' ``grad``. Returns the sum of the reported losses, float64, on the parameters' device."""
        total = torch.zeros((), dtype=torch.float64, device=self.parameters[0].device)
        if self._pool is None:
            for part in parts:
                loss, reported = self.loss_of(part)
                torch.autograd.backward(loss)
                total += reported.detach().double()
            return total
        for reported, gradients in self._in_order(parts, self._pool):
            total += reported.double()
            for parameter, gradient in zip(self.parameters, gradients, strict=True):
                if gradient is None:
                    continue
                if parameter.grad is None:
                    parameter.grad = gradient
                else:
                    parameter.grad += gradient
        return total

    def _in_order(self, parts: Iterable[Part], pool: ThreadPoolExecutor) -> Iterator[_Done]:
        """Yield the results in the order of the parts; at most two parts per thread are waiting."""
        waiting: deque[Future[_Done]] = deque()
        for part in parts:
            if len(waiting) == 2 * self.count:
                yield waiting.popleft().result()
            waiting.append(pool.submit(self._differentiate, part))
        while waiting:
            yield waiting.popleft().result()

    def _differentiate(self, part: Part) -> _Done:
        loss, reported = self.loss_of(part)
        return reported.detach(), torch.autograd.grad(loss, self.parameters, allow_unused=True)
