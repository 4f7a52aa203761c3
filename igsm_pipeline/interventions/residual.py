"""Read and replace the residual stream of a causal model of transformers while it reads.

A site is a place of the stream: site 0 is the output of the embedding, site l the output of the l-th layer, before any final norm. Hooks on the
stock modules do it, so that any model works whose layers stand in one list, as those of GPT-2, GPT-NeoX, Llama and their kin do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from igsm_pipeline.activations.forward import num_layers_of
from igsm_pipeline.errors import BadCheckpoint


def sites(model: PreTrainedModel) -> list[nn.Module]:
    """The modules whose outputs are the residual stream: the embedding, then every layer.

    Raises:
        BadCheckpoint: the model has no list of as many layers as its config says.
    """
    wanted = num_layers_of(model)
    for module in model.base_model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == wanted:
            embedding: nn.Module = model.get_input_embeddings()
            return [embedding, *module]
    raise BadCheckpoint("model", f"must keep its {wanted} layers in one list", type(model).__name__, "use a model that does, as GPT-2 or Llama")


@torch.inference_mode()
def read_stream(model: PreTrainedModel, ids: Tensor) -> Tensor:
    """The residual stream at every site, (sites, batch, length, d_model).

    Args:
        model: in evaluation mode.
        ids: tokens without padding, (batch, length).
    """
    found: list[Tensor] = []
    with ExitStack() as hooks:
        for site in sites(model):
            hooks.callback(site.register_forward_hook(lambda _module, _inputs, output: found.append(_states(output))).remove)
        model.base_model(input_ids=ids, use_cache=False)
    return torch.stack(found)


def random_like(states: Tensor, draws: np.random.Generator) -> Tensor:
    """Random directions with the norms of these states at every position, drawn for all of them at once."""
    directions = torch.from_numpy(draws.standard_normal(tuple(states.shape), dtype=np.float32)).to(states.device)
    scaled: Tensor = directions * (states.norm(dim=-1, keepdim=True) / directions.norm(dim=-1, keepdim=True))
    return scaled


def replaced(site: nn.Module, where: Tensor, states: Tensor) -> AbstractContextManager[None]:
    """Inside the block, ``site`` gives other states at some positions.

    Args:
        site: one of ``sites``.
        where: which positions, bool, (batch, length).
        states: what stands there instead, (batch, length, d_model); the rest of it is not used.
    """
    return _changing(site, lambda own: torch.where(where[..., None], states.to(own.dtype), own))


def pushed(site: nn.Module, push: Tensor) -> AbstractContextManager[None]:
    """Inside the block, ``site`` gives its states plus ``push``, (batch, length, d_model), which may want gradients."""
    return _changing(site, lambda own: own + push.to(own.dtype))


def erased(site: nn.Module, eraser: Callable[[Tensor], Tensor]) -> AbstractContextManager[None]:
    """Inside the block, ``site`` gives what an eraser makes of its states, at every position, (batch, length, d_model)."""
    return _changing(site, eraser)


@contextmanager
def erased_at(model: PreTrainedModel, layer: int, eraser: Callable[[Tensor], Tensor], token: int) -> Iterator[None]:
    """Inside the block, the site of a layer gives what an eraser makes of its states, but only where the model reads one token.

    Args:
        model: in evaluation mode.
        layer: 0 is the embedding.
        eraser: from states to states, (batch, length, d_model).
        token: its id.
    """
    here: list[Tensor] = []
    embedding: nn.Module = model.get_input_embeddings()

    def look(_module: nn.Module, inputs: Any) -> None:
        here[:] = [inputs[0] == token]

    handle = embedding.register_forward_pre_hook(look)
    try:
        with _changing(sites(model)[layer], lambda own: torch.where(here[0][..., None], eraser(own), own)):
            yield
    finally:
        handle.remove()


@contextmanager
def _changing(site: nn.Module, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Inside the block, ``site`` gives what ``change`` makes of its states."""

    def changed(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        states = change(_states(output))
        return (states, *output[1:]) if isinstance(output, tuple) else states

    handle = site.register_forward_hook(changed)
    try:
        yield
    finally:
        handle.remove()


def _states(output: Any) -> Tensor:
    """The states in a module's output: some layers give a tuple that begins with them."""
    states: Tensor = output[0] if isinstance(output, tuple) else output
    return states
