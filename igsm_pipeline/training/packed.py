"""The loss of a micro-batch on a CPU without computing its padding: the same loss and gradients to rounding, about 1.4 times as fast.

Small models spend more time between their matrix products than in them. Here the windows of a micro-batch follow each other without padding
(except in attention, which needs a rectangle), queries, keys and values are rotated and laid out in one pass, and GELU and its slope come from one
polynomial. Tokens after the last label of a window are left out; no label depends on them.

Ours: all of it. The formula is that of ``transformers`` for GPT-NeoX with ``gelu_new``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import PreTrainedModel

from igsm_pipeline.problems.kernel import kernel

Floats = NDArray[np.float32]

# tanh(w) as w P(w^2) / Q(w^2) for |w| <= 9, float32 to rounding: the fraction that Eigen and XLA use.
P1, P3, P5, P7 = (
    np.float32(4.89352455891786e-03),
    np.float32(6.37261928875436e-04),
    np.float32(1.48572235717979e-05),
    np.float32(5.12229709037114e-08),
)
P9, P11, P13 = np.float32(-8.60467152213735e-11), np.float32(2.00018790482477e-13), np.float32(-2.76076847742355e-16)
Q0, Q2, Q4, Q6 = (
    np.float32(4.89352518554385e-03),
    np.float32(2.26843463243900e-03),
    np.float32(1.18534705686654e-04),
    np.float32(1.19825839466702e-06),
)
ROOT, CUBIC, CUBIC3 = np.float32(math.sqrt(2 / math.pi)), np.float32(0.044715), np.float32(3 * 0.044715)
HALF, ONE, LIMIT = np.float32(0.5), np.float32(1), np.float32(9)


@kernel(nogil=True, fastmath=True, error_model="numpy")
def gelu_and_slope(x: Floats, y: Floats, slope: Floats) -> None:
    """Compute GELU (tanh form) of each x, and its derivative; all arrays have one length."""
    for i in range(len(x)):
        v = x[i]
        square = v * v
        w = min(max(ROOT * v * (ONE + CUBIC * square), -LIMIT), LIMIT)
        z = w * w
        t = w * (P1 + z * (P3 + z * (P5 + z * (P7 + z * (P9 + z * (P11 + z * P13)))))) / (Q0 + z * (Q2 + z * (Q4 + z * Q6)))
        half = HALF * (ONE + t)
        y[i] = v * half
        slope[i] = half + HALF * v * (ONE - t * t) * ROOT * (ONE + CUBIC3 * square)


@kernel(nogil=True, fastmath=True, error_model="numpy")
def lay_out(qkv: Floats, lengths: NDArray[np.int64], cos: Floats, sin: Floats, q: Floats, k: Floats, v: Floats) -> None:
    """Write packed (token, head, 3, width) into padded (window, position, head, width), queries and keys rotated, padding 0."""
    heads, width, half = q.shape[2], q.shape[3], cos.shape[1]
    n = 0
    for b in range(q.shape[0]):
        for t in range(lengths[b]):
            for h in range(heads):
                for i in range(half):
                    c, s = cos[t, i], sin[t, i]
                    q1, q2 = qkv[n, h, 0, i], qkv[n, h, 0, i + half]
                    q[b, t, h, i] = q1 * c - q2 * s
                    q[b, t, h, i + half] = q2 * c + q1 * s
                    k1, k2 = qkv[n, h, 1, i], qkv[n, h, 1, i + half]
                    k[b, t, h, i] = k1 * c - k2 * s
                    k[b, t, h, i + half] = k2 * c + k1 * s
                for i in range(2 * half, width):
                    q[b, t, h, i] = qkv[n, h, 0, i]
                    k[b, t, h, i] = qkv[n, h, 1, i]
                for i in range(width):
                    v[b, t, h, i] = qkv[n, h, 2, i]
            n += 1
        q[b, lengths[b] :] = 0
        k[b, lengths[b] :] = 0
        v[b, lengths[b] :] = 0


@kernel(nogil=True, fastmath=True, error_model="numpy")
def lay_back(qkv: Floats, lengths: NDArray[np.int64], cos: Floats, sin: Floats, q: Floats, k: Floats, v: Floats) -> None:
    """The transpose of ``lay_out``: it turns the gradients of q, k and v into that of qkv."""
    heads, width, half = q.shape[2], q.shape[3], cos.shape[1]
    n = 0
    for b in range(q.shape[0]):
        for t in range(lengths[b]):
            for h in range(heads):
                for i in range(half):
                    c, s = cos[t, i], sin[t, i]
                    q1, q2 = q[b, t, h, i], q[b, t, h, i + half]
                    qkv[n, h, 0, i] = q1 * c + q2 * s
                    qkv[n, h, 0, i + half] = q2 * c - q1 * s
                    k1, k2 = k[b, t, h, i], k[b, t, h, i + half]
                    qkv[n, h, 1, i] = k1 * c + k2 * s
                    qkv[n, h, 1, i + half] = k2 * c - k1 * s
                for i in range(2 * half, width):
                    qkv[n, h, 0, i] = q[b, t, h, i]
                    qkv[n, h, 1, i] = k[b, t, h, i]
                for i in range(width):
                    qkv[n, h, 2, i] = v[b, t, h, i]
            n += 1


class Gelu(torch.autograd.Function):
    """GELU in its tanh form."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Compute GELU of a contiguous tensor of any shape."""
        y, slope = torch.empty_like(x), torch.empty_like(x)
        gelu_and_slope(x.view(-1).numpy(), y.view(-1).numpy(), slope.view(-1).numpy())
        ctx.save_for_backward(slope)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """One product."""
        slope: Tensor = ctx.saved_tensors[0]
        return gradients[0] * slope


class LayOut(torch.autograd.Function):
    """Turns packed (token, 3 heads width) into rotated q, k, v, each of shape (window, head, position, width)."""

    @staticmethod
    def forward(
        ctx: Any, qkv: Tensor, lengths: NDArray[np.int64], cos: Floats, sin: Floats, shape: tuple[int, int, int, int]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """``shape`` is (window, position, head, width)."""
        q, k, v = torch.empty(shape), torch.empty(shape), torch.empty(shape)
        lay_out(qkv.view(-1, shape[2], 3, shape[3]).numpy(), lengths, cos, sin, q.numpy(), k.numpy(), v.numpy())
        ctx.lengths, ctx.cos, ctx.sin, ctx.shape = lengths, cos, sin, qkv.shape
        return q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None, None]:
        """Turn the gradients of q, k and v into that of qkv."""
        q, k, v = (gradient.transpose(1, 2).contiguous() for gradient in gradients)
        qkv = torch.empty(ctx.shape)
        lay_back(qkv.view(-1, q.shape[2], 3, q.shape[3]).numpy(), ctx.lengths, ctx.cos, ctx.sin, q.numpy(), k.numpy(), v.numpy())
        return qkv, None, None, None, None


class TakeRows(torch.autograd.Function):
    """Takes rows of a matrix, each at most once."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rows: Tensor) -> Tensor:
        """``x[rows]``."""
        ctx.save_for_backward(rows)
        ctx.shape = x.shape
        return x.index_select(0, rows)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Put the gradients back into their rows; other rows get 0."""
        return gradients[0].new_zeros(ctx.shape).index_copy_(0, ctx.saved_tensors[0], gradients[0]), None


_gelu: Callable[[Tensor], Tensor] = Gelu.apply
_lay_out: Callable[..., tuple[Tensor, Tensor, Tensor]] = LayOut.apply
_take_rows: Callable[[Tensor, Tensor], Tensor] = TakeRows.apply


def can_pack(model: PreTrainedModel, device: torch.device, precision: str) -> bool:
    """Whether ``packed_loss_sum`` can compute the model's loss: our architecture without dropout, on a CPU in fp32, with compiled kernels."""
    config = model.config
    return bool(
        device.type == "cpu"
        and precision == "fp32"
        and not numba.config.DISABLE_JIT
        and config.model_type == "gpt_neox"
        and not config.use_parallel_residual
        and config.hidden_act == "gelu_new"
        and config.rope_parameters["rope_type"] == "default"
        and not any(isinstance(module, nn.Dropout) and module.p > 0 for module in model.modules())
        and config.attention_dropout == 0
    )


def packed_loss_sum(model: Any, ids: Tensor, labels: Tensor) -> Tensor:
    """Sum the cross-entropy over the positions with a label, as ``steps.loss_sum`` does. Returns a float32 scalar.

    Args:
        model: a ``GPTNeoXForCausalLM`` that ``can_pack``.
        ids: shape (windows, positions), int64.
        labels: the same shape, negative for positions without a label.
    """
    number, longest = ids.shape
    base, heads = model.base_model, model.config.num_attention_heads
    width = model.config.hidden_size // heads
    places = torch.arange(longest)
    lengths = ((labels >= 0) * (places + 1)).amax(1)
    rows = (places < lengths[:, None]).view(-1).nonzero()[:, 0]
    angles = places[:, None].float() * base.rotary_emb.inv_freq.float()
    fixed = (lengths.numpy(), angles.cos().numpy(), angles.sin().numpy(), (number, longest, heads, width))
    x = F.embedding(ids.reshape(-1)[rows], base.embed_in.weight)
    for layer in base.layers:
        attention, mlp = layer.attention, layer.mlp
        q, k, v = _lay_out(attention.query_key_value(layer.input_layernorm(x)), *fixed)
        read = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + attention.dense(_take_rows(read.transpose(1, 2).reshape(-1, heads * width), rows))
        x = x + mlp.dense_4h_to_h(_gelu(mlp.dense_h_to_4h(layer.post_attention_layernorm(x))))
    wanted = labels.reshape(-1)[rows]
    carries = (wanted >= 0).nonzero()[:, 0]
    logits = model.get_output_embeddings()(base.final_layer_norm(x)[carries])
    return F.cross_entropy(logits, wanted[carries], reduction="sum")
