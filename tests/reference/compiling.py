"""What a GPU would be given, seen on a processor: a compiler that compiles nothing or fails, and a count of what would wait for the device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import pytest
import torch
from torch import Tensor
from torch._dynamo.exc import FailOnRecompileLimitHit
from torch._inductor.runtime.triton_compat import OutOfResources, PTXASError
from torch._inductor.runtime.triton_heuristics import NoTritonConfigsError
from torch.utils._python_dispatch import TorchDispatchMode

WAITING = ("_local_scalar_dense", "nonzero", "is_nonzero", "item", "masked_select")
"""Operations whose result a GPU must deliver before the program can go on; indexing by a mask is ``nonzero``."""

NOT_RUN: tuple[type[Exception], ...] = (RuntimeError, FailOnRecompileLimitHit, NoTritonConfigsError, OutOfResources, PTXASError)
"""A backend's own error, which torch wraps; the others come as they are: after too many compilations, or at the first launch."""


def raises(error: type[Exception]) -> Callable[..., Any]:
    """What a backend of ``torch.compile`` does with a graph: it fails now, or gives a function that does."""
    if error is RuntimeError:
        raise error("not on this card")

    def launch(*_: Any) -> Any:
        raise error("not on this card")

    return launch


class Graphs:
    """A compiler that keeps what it is given and compiles nothing."""

    def __init__(self) -> None:
        self.found: list[torch.fx.GraphModule] = []

    def __call__(self, graph: torch.fx.GraphModule, _: Any) -> Any:
        self.found.append(graph)
        return graph.forward

    def attention(self) -> list[dict[str, Any]]:
        """The keywords of every attention product."""
        nodes = (node for graph in self.found for node in graph.graph.nodes)
        return [dict(node.kwargs) for node in nodes if "scaled_dot_product_attention" in str(node.target)]


class Waits(TorchDispatchMode):
    """Counts operations that wait for the device, and copies of results to the host, which a processor does without an operation."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.patches = pytest.MonkeyPatch()

    def __enter__(self) -> Self:
        for name in ("tolist", "cpu", "item"):
            self.patches.setattr(Tensor, name, self._noting(name, getattr(Tensor, name)))
        self.patches.setattr(torch, "tensor", self._noting_device(torch.tensor))
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self.patches.undo()

    def _noting(self, name: str, plain: Any) -> Any:
        def noted(*arguments: Any) -> Any:
            self.found.append(name)
            return plain(*arguments)

        return noted

    def _noting_device(self, plain: Any) -> Any:
        """``torch.tensor(..., device=...)`` copies from plain memory, for which a card first does all that it still has to do."""

        def noted(*arguments: Any, **keywords: Any) -> Any:
            if keywords.get("device") is not None:
                self.found.append("tensor on a device")
            return plain(*arguments, **keywords)

        return noted

    def __torch_dispatch__(self, function: Any, types: Any, arguments: tuple[Any, ...] = (), keywords: dict[str, Any] | None = None) -> Any:
        name = function.overloadpacket.__name__
        masked = name in ("index", "index_put", "index_put_") and any(one is not None and one.dtype == torch.bool for one in arguments[1])
        if name in WAITING or masked:
            self.found.append(name)
        return function(*arguments, **(keywords or {}))
