"""Finds out whether the architecture of a model from elsewhere can do what the pipeline asks of it, before anything is computed with it.

Two things are asked of every model, and both are tried on a few tokens and compared with plain passes: to go on from a cache with empty places on the
left (generations), and to read several questions behind one text, each at its own positions (activations and probes).

Ours: no list of architectures; what computes the right states is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from igsm_pipeline.errors import BadCheckpoint
from igsm_pipeline.model.decoding import next_logits, read_prompts

_WAY_OUT = "bring a decoder whose attention takes a mask and positions, such as gpt_neox (Pythia), llama or gpt2"
_TEXT, _BRANCHES = 4, ((4, 5), (6, 7))


def check_abilities(model: PreTrainedModel, folder: Path) -> None:
    """Refuse a model whose architecture cannot do what is asked of it, by its name and by what it cannot do.

    Args:
        model: the model, in evaluation mode.
        folder: where it came from, for the message.

    Raises:
        BadCheckpoint: it fails, or computes something else than plain passes do.
    """
    tries: dict[str, Callable[[PreTrainedModel, Tensor], tuple[Tensor, Tensor]]] = {
        "go on from a cache with empty places on the left, as generations need": _go_on,
        "read several questions behind one text, as activations and probes need": _share,
    }
    ids = torch.arange(8, device=model.device) % int(model.get_input_embeddings().weight.shape[0])
    for ability, attempt in tries.items():
        try:
            with torch.inference_mode():
                wanted, found = attempt(model, ids)
            size = float(wanted.abs().max())
            wrong = None if torch.allclose(wanted, found, rtol=1e-3, atol=1e-3 * size) else f"off by {float((wanted - found).abs().max()) / size:.0e}"
        except Exception as error:  # whatever an architecture raises means that it cannot do it
            wrong = f"{type(error).__name__}: {error}"[:120]
        if wrong is not None:
            raise BadCheckpoint(
                f"model.path {folder}", f"must be of an architecture that can {ability}", f"{model.config.model_type} ({wrong})", _WAY_OUT
            )


def _go_on(model: PreTrainedModel, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Logits after one more token of a short and a long prompt: in passes of their own, and from one cache."""
    prompts, following = [ids[1:4], ids[:6]], ids[6]
    alone = [model(input_ids=torch.cat([prompt, following[None]])[None]).logits[0, -1] for prompt in prompts]
    cache, _ = read_prompts(model, [prompt.cpu().numpy().astype(np.int64) for prompt in prompts])
    pads = torch.tensor([3, 0], device=ids.device)
    return torch.stack(alone), next_logits(model, following.repeat(2), cache, pads, True)


def _share(model: PreTrainedModel, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Last states of two questions behind one text: in passes of their own, and side by side in one pass."""
    embedded = model.get_input_embeddings()(ids[None])
    text = list(range(_TEXT))
    alone = [model.base_model(inputs_embeds=embedded[:, [*text, *branch]], use_cache=False).last_hidden_state[0, -1] for branch in _BRANCHES]
    number = torch.tensor([0] * _TEXT + [1] * 2 + [2] * 2, device=ids.device)
    column = torch.arange(len(ids), device=ids.device)
    mask = ((number[None] == 0) | (number[None] == number[:, None])) & (column[None] <= column[:, None])
    positions = torch.tensor([*text, 4, 5, 4, 5], device=ids.device)
    shared = model.base_model(inputs_embeds=embedded, attention_mask=mask[None, None], position_ids=positions[None], use_cache=False)
    return torch.stack(alone), shared.last_hidden_state[0, [branch[-1] for branch in _BRANCHES]]
