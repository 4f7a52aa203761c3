"""Interchange by reask twins: one twin's states are put into the other's reading. What does the model compute first now?

If the model now names the twin's first parameter, the exchanged states carry its plan. Three controls say what the exchange does by itself: the
states of an unrelated problem at the same positions, random directions of the same norms, and the receiver's own states, which must change nothing.

Source: interchange interventions (Geiger et al., arXiv:2106.02997), with the twins that the paper's reask slice makes (arXiv:2407.20311, sec. 3).
Ours: which positions and layers, the controls, counting by the first parameter that is written.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from igsm_pipeline.interventions.residual import random_like, read_stream, replaced, sites
from igsm_pipeline.interventions.settings import DONORS, PLACES
from igsm_pipeline.interventions.twins import Ids, Twins
from igsm_pipeline.model.decoding import complete
from igsm_pipeline.seeding import generator

NAME_TOKENS = 16
"""A name ends here at the latest."""


@dataclass(frozen=True)
class Effect:
    """What one exchange does to each pair, all of shape (pairs,). Told apart by the first token in which the two names differ, given those before it.

    Attributes:
        swapped: the likeliest token is now the twin's.
        kept: it is still the own one.
        shift: how far the log-odds of the twin's token against the own one move, in nats.
    """

    swapped: NDArray[np.bool_]
    kept: NDArray[np.bool_]
    shift: NDArray[np.float64]


@dataclass(frozen=True)
class Exchanged:
    """The effects on pairs about which the model computes different parameters first.

    Attributes:
        rows: rows of the problem sets, (pairs,).
        effects: (donor, place, layer) -> effect.
    """

    rows: NDArray[np.int64]
    effects: dict[tuple[str, str, int], Effect]


@dataclass(frozen=True)
class Plans:
    """Twins whose names begin with the same tokens, these read with the prompt; token ids, (pairs, ...).

    Attributes:
        twins: the prompts, up to the first token in which the names differ.
        mine, theirs: that token of the one name and of the other, (pairs,).
    """

    twins: Twins
    mine: Tensor
    theirs: Tensor

    def effect(self, before: Tensor, after: Tensor) -> Effect:
        """What an intervention does, from the logits after the last token without it and with it, (pairs, vocabulary)."""
        likeliest, shift = after.argmax(1), self._odds(after) - self._odds(before)
        swapped, kept = ((likeliest == token).cpu().numpy() for token in (self.theirs, self.mine))
        return Effect(swapped, kept, shift.double().cpu().numpy())

    def _odds(self, logits: Tensor) -> Tensor:
        return (logits.gather(1, self.theirs[:, None]) - logits.gather(1, self.mine[:, None]))[:, 0]


def interchange(
    model: PreTrainedModel, twins: Twins, layers: Sequence[int], *, stop: int, places: Sequence[str] = PLACES, seed: int = 0
) -> list[Exchanged]:
    """Exchange the states of twins at every place and layer.

    Args:
        model: in evaluation mode, without dropout.
        twins: pairs with prompts of one length.
        layers: 0: the output of the embedding; l: of the l-th layer.
        stop: the token that ends a name (" as").
        places: names of ``PLACES``.
        seed: of the random directions.

    Returns:
        The effects, in parts that begin their names with the same number of tokens; pairs for which the model names one parameter are left out.
    """
    with torch.inference_mode():
        return [_exchange(model, plans, layers, places, seed) for plans in _plans(model, twins, stop)]


def _plans(model: PreTrainedModel, twins: Twins, stop: int) -> Iterator[Plans]:
    """What the model names first for both twins."""
    mine, theirs = (first_names(model, ids, stop) for ids in (twins.own, twins.other))
    return told_apart(twins, mine, theirs)


def told_apart(twins: Twins, mine: Tensor, theirs: Tensor) -> Iterator[Plans]:
    """Pairs by how many tokens two names share at their beginning; pairs of equal names are left out.

    Args:
        twins: the prompts, up to where the names begin.
        mine, theirs: the two names of each pair, (pairs, NAME_TOKENS), filled up with the token that ends a name.
    """
    differs = mine != theirs
    shared = torch.where(differs.any(1), differs.int().argmax(1), -1)
    for number in sorted(set(shared.tolist()) - {-1}):
        chosen = shared == number
        begun = mine[chosen, :number].cpu().numpy()
        yield Plans(twins.chosen(chosen.cpu().numpy()).followed_by(begun), mine[chosen, number], theirs[chosen, number])


def _exchange(model: PreTrainedModel, plans: Plans, layers: Sequence[int], places: Sequence[str], seed: int) -> Exchanged:
    own, other = (torch.from_numpy(ids).to(model.device) for ids in (plans.twins.own, plans.twins.other))
    streams = {"twin": read_stream(model, other), "own": read_stream(model, own)}
    streams["random"] = random_like(streams["twin"], generator(seed, "interchange", int(plans.twins.rows[0])))
    if len(own) > 1:
        streams["unrelated"] = streams["twin"].roll(1, dims=1)
    modules, effects, before = sites(model), {}, next_scores(model, own)
    for donor, place, layer in itertools.product(filter(streams.__contains__, DONORS), places, layers):
        where = torch.from_numpy(np.ascontiguousarray(plans.twins.places[place])).to(model.device)
        with replaced(modules[layer], where, streams[donor][layer]):
            effects[donor, place, layer] = plans.effect(before, next_scores(model, own))
    return Exchanged(plans.twins.rows, effects)


def next_scores(model: PreTrainedModel, ids: Tensor) -> Tensor:
    """Logits after the last token, (batch, vocabulary)."""
    logits: Tensor = model(input_ids=ids, use_cache=False, logits_to_keep=1).logits[:, -1]
    return logits


def first_names(model: PreTrainedModel, prompts: Ids, stop: int) -> Tensor:
    """The names that the model writes greedily after the prompts: (batch, NAME_TOKENS), filled up with ``stop``."""
    names = torch.full((len(prompts), NAME_TOKENS), stop)
    for row, ids in enumerate(complete(model, list(prompts), max_tokens=NAME_TOKENS, eos=stop).tokens):
        names[row, : len(ids)] = torch.from_numpy(ids.astype(np.int64))
    return names.to(model.device)
