"""What torch raises where a graph does not compile on this machine, or where the card cannot launch what was compiled."""

from __future__ import annotations

from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException
from torch._inductor.runtime.triton_compat import OutOfResources, PTXASError
from torch._inductor.runtime.triton_heuristics import NoTritonConfigsError

NOT_COMPILED: tuple[type[Exception], ...] = (
    TorchDynamoException,
    FailOnRecompileLimitHit,
    NoTritonConfigsError,
    OutOfResources,
    PTXASError,
)
"""The same without compiling works. The last three come at the first launch, as where a kernel asks for more shared memory than the card has."""


def reason(error: Exception) -> str:
    """The beginning of an error's message in one line, for a warning."""
    return " ".join(str(error).split())[:200]
