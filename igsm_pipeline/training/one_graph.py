"""The loss of a micro-batch as one graph: what a GPU computes, and what ``torch.compile`` gets.

Attention is one causal product without a mask, which the fast kernels of a GPU need; transformers' own attention gets a mask while it is traced,
because it cannot see then that a window's positions count on. Positions without a label stay in and count nothing, so that no shape depends on data
and nothing waits for the GPU. Under autocast to bfloat16 states are bfloat16 from the embedding on, half the bytes, and so are queries and keys;
norms and the loss stay fp32. The head has spare rows, so that its products have sides that tensor cores take.

Ours: all of it. The numbers are those of ``steps.loss_sum`` to rounding; attention is the same to the bit.
"""

from __future__ import annotations

import importlib.util
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel

from igsm_pipeline.errors import install_extra
from igsm_pipeline.training.batches import IGNORED

CAUSAL = "igsm_causal"
"""The name of ``causal_attention`` among transformers' attentions. No mask function has this name, so no mask is made."""
_SIDE = 64
"""The rows of the head are filled up to a multiple of this many."""
_log = logging.getLogger(__name__)


def causal_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, scaling: float, dropout: float = 0.0, **_: Any
) -> tuple[Tensor, None]:
    """Causal attention over whole windows, as transformers calls it.

    Args:
        module: the attention layer; not read.
        query: shape (windows, heads, positions, width), as ``key`` and ``value``.
        key: see ``query``.
        value: see ``query``.
        attention_mask: None.
        scaling: factor of the products.
        dropout: share of attention weights that are dropped.

    Returns:
        Shape (windows, positions, heads, width), and None for the weights, which are not kept.

    Raises:
        ValueError: there is a mask, which this attention would not obey (a fault of the program).
    """
    if attention_mask is not None:
        raise ValueError("causal_attention reads whole windows without a mask")
    read = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout, scale=scaling, is_causal=True)
    return read.transpose(1, 2).contiguous(), None


AttentionInterface.register(CAUSAL, causal_attention)


@contextmanager
def reading_windows(model: PreTrainedModel) -> Iterator[None]:
    """Let a GPT-NeoX model use ``causal_attention`` while the block runs; other architectures, whose masks may say more, keep their own."""
    config = model.config
    before = config._attn_implementation
    if takes_windows(model):
        config._attn_implementation = CAUSAL
    try:
        yield
    finally:
        config._attn_implementation = before


def takes_windows(model: PreTrainedModel) -> bool:
    """Whether a model's attention over a window is ``causal_attention``."""
    return bool(model.config.model_type == "gpt_neox")


def head_rows(number: int) -> int:
    """Rows of the head in its products, for so many ids: the spare ones have no logits."""
    return number + -number % _SIDE


class WindowLoss:
    """The summed cross-entropy of whole windows, as one graph.

    Args:
        model: the model; it may be used in other ways between calls.
        backend: compiles the graph ("inductor", or a function as ``torch.compile`` takes it); None: it is not compiled.
    """

    def __init__(self, model: PreTrainedModel, backend: str | Callable[..., Any] | None = None) -> None:
        self.model = model
        self._sum: Callable[[Tensor, Tensor], Tensor] = self._plain
        if backend is not None:
            self._sum = torch.compile(self._plain, fullgraph=takes_windows(model), dynamic=False, backend=backend)

    def __call__(self, ids: Tensor, labels: Tensor) -> Tensor:
        """Sum the cross-entropy over the positions with a label; both (windows, positions), int64, on the model's device. A float32 scalar."""
        with reading_windows(self.model):
            return self._sum(ids, labels)

    def _plain(self, ids: Tensor, labels: Tensor) -> Tensor:
        embedded, kind = self.model.get_input_embeddings()(ids), ids.device.type
        if torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind) == torch.bfloat16:
            embedded = embedded.bfloat16()
        hidden = self.model.base_model(inputs_embeds=embedded, use_cache=False).last_hidden_state
        head = self.model.get_output_embeddings()
        number = head.weight.shape[0]
        spare = head_rows(number) - number
        bias = None if head.bias is None else F.pad(head.bias, (0, spare))
        logits = F.linear(hidden, F.pad(head.weight, (0, 0, 0, spare)), bias)[..., :number]
        return F.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="sum")


def compiles(wanted: bool | Literal["auto"], device: torch.device, what: str = "training") -> bool:
    """Whether a training (or ``what``) compiles: as it is set, or, with ``auto``, on a GPU that has what compiling needs (Triton and a C compiler).

    A GPU without it is warned about: it is slower.
    """
    if wanted != "auto":
        return wanted
    if device.type != "cuda":
        return False
    lacks = [
        name
        for name, there in (("Triton", importlib.util.find_spec("triton")), ("a C compiler", shutil.which("cc") or shutil.which("gcc")))
        if not there
    ]
    if lacks:
        _log.warning(
            "%s is not compiled, for this machine has not %s; it takes longer. %s brings Triton", what, " and ".join(lacks), install_extra("gpu")
        )
    return not lacks
