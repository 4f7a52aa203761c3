"""Steering: states are pushed along the direction in which a probe believes that a parameter is needed. Does the model then compute it?

A V-probe of nece is asked about a parameter A that the answer does not need, but that could be computed at once. The gradient of its logit with
respect to the states of the text says how they would have to change for the probe to say yes. They are changed so while the model reads the same
text to begin its solution. If it now begins with A, it uses what the probe reads. Two controls are pushes of the same size at the same places: along
the gradient of another parameter that is as useless, and along random directions.

Source: steering along a probe's direction, as in Li et al. (arXiv:2306.03341). Ours: gradients of a V-probe over all positions of the text; controls.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from igsm_pipeline.activations.forward import SequenceBatch
from igsm_pipeline.interventions.interchange import NAME_TOKENS, Effect, Exchanged, Plans, first_names, next_scores, told_apart
from igsm_pipeline.interventions.residual import pushed, random_like, read_stream, sites
from igsm_pipeline.interventions.settings import PUSHES
from igsm_pipeline.interventions.twins import Twins, until_define
from igsm_pipeline.probes.v_probe import VProbe
from igsm_pipeline.problems.record import ProblemBatch
from igsm_pipeline.problems.settings import FamilySettings
from igsm_pipeline.queries.documents import GoldDocuments
from igsm_pipeline.queries.draw import list_queries
from igsm_pipeline.queries.sequences import SHARED, QueryTokens
from igsm_pipeline.queries.settings import QuerySettings
from igsm_pipeline.seeding import generator
from igsm_pipeline.tokens import TokenTable

TOGETHER = 64
"""Problems whose states are in memory together."""


@dataclass(frozen=True)
class Useless:
    """Problems with two parameters each that are not needed and could be computed at once.

    Attributes:
        rows: of the problems, (pairs,).
        asked: the queries of nece about A, then those about B, problem by problem in both.
    """

    rows: NDArray[np.int64]
    asked: tuple[QueryTokens, QueryTokens]


def find_useless(batch: ProblemBatch, table: TokenTable, family: FamilySettings, *, seed: int = 0) -> Useless:
    """Draw A and B of every problem that has two such parameters; the other problems are left out."""
    every = list_queries(batch, QuerySettings(family=family, task="can_next", candidates="existing"))
    column = {name: np.asarray(every[name].to_numpy(zero_copy_only=False)) for name in ("problem", "position", "label", "necessary")}
    fit = np.flatnonzero((column["position"] == 0) & (column["label"] == 1) & ~column["necessary"].astype(bool))
    order = fit[np.lexsort((generator(seed, "steering parameters").random(len(fit)), column["problem"][fit]))]
    problems, first, number = np.unique(column["problem"][order], return_index=True, return_counts=True)
    chosen = first[number >= 2]
    documents = GoldDocuments(batch, table, family.format)
    one, other = (QueryTokens(batch, every.take(pa.array(order[chosen + place])), documents, table) for place in (0, 1))
    return Useless(problems[number >= 2].astype(np.int64), (one, other))


def steer(
    model: PreTrainedModel, probe: VProbe, useless: Useless, *, layers: Sequence[int], strengths: Sequence[float], stop: int, seed: int = 0
) -> list[Exchanged]:
    """Push the states of the text at every layer and strength.

    Args:
        model: frozen, in evaluation mode.
        probe: a V-probe of nece on that model.
        useless: which parameters of which problems.
        layers: 0: the output of the embedding; l: of the l-th layer. A push stands at one of them.
        strengths: sizes of the push, as shares of the norm of all states of the text at that layer.
        stop: the token that ends a name (" as").
        seed: of the random directions.

    Returns:
        Effects by (push, layer, strength), in parts of one length; ``swapped``: the likeliest token is A's. Problems that the model begins with A or
        B anyway are left out.
    """
    found: list[Exchanged] = []
    for group, asked_at in _by_length(useless):
        names = [_names(asked, asked_at, stop) for asked in useless.asked]
        first = first_names(model, group.own, stop).cpu()
        free = ((first != names[0]).any(1) & (first != names[1]).any(1)).numpy()
        if not free.any():
            continue
        twins, places, mine, wanted = group.chosen(free), asked_at[free], first[free], names[0][free]
        directions = {name: _gradients(model, probe, asked, places, layers) for name, asked in zip(PUSHES, useless.asked, strict=False)}
        directions["random"] = {
            layer: random_like(one, generator(seed, f"steering layer {layer}", int(twins.rows[0]))) for layer, one in directions["probe"].items()
        }
        for plans in told_apart(twins, mine.to(model.device), wanted.to(model.device)):
            inside = torch.from_numpy(np.isin(twins.rows, plans.twins.rows)).to(model.device)
            chosen = {name: {layer: push[inside] for layer, push in each.items()} for name, each in directions.items()}
            found.append(_push(model, plans, chosen, strengths))
    return found


@torch.inference_mode()
def _push(model: PreTrainedModel, plans: Plans, directions: dict[str, dict[int, Tensor]], strengths: Sequence[float]) -> Exchanged:
    ids = torch.from_numpy(plans.twins.own).to(model.device)
    stream, modules, before = read_stream(model, ids), sites(model), next_scores(model, ids)
    effects: dict[tuple[str, Any, Any], Effect] = {}
    for name, layer, strength in itertools.product(directions, directions["probe"], strengths):
        push = directions[name][layer]
        size = stream[layer][:, : push.shape[1]].flatten(1).norm(dim=1)
        scaled = torch.zeros_like(stream[layer])
        scaled[:, : push.shape[1]] = push * (strength * size / push.flatten(1).norm(dim=1).clamp_min(1e-12))[:, None, None]
        with pushed(modules[layer], scaled):
            effects[name, layer, strength] = plans.effect(before, next_scores(model, ids))
    return Exchanged(plans.twins.rows, effects)


def _by_length(useless: Useless) -> list[tuple[Twins, NDArray[np.int64]]]:
    """Prompts up to " Define" by length, with their places in ``useless``."""
    asked = useless.asked[0]
    documents, define = asked.documents.take(useless.rows), asked.table.fragment_ids(" Define").astype(np.int64)
    prompts = [until_define(documents.prompt(place), define) for place in range(len(useless.rows))]
    groups: dict[int, list[int]] = {}
    for place, prompt in enumerate(prompts):
        groups.setdefault(len(prompt), []).append(place)
    made = []
    for _, group in sorted(groups.items()):
        for first in range(0, len(group), TOGETHER):
            places = np.array(group[first : first + TOGETHER])
            own = np.stack([prompts[place] for place in places])
            made.append((Twins(useless.rows[places], own, own, {}), places))
    return made


def _names(asked: QueryTokens, places: NDArray[np.int64], stop: int) -> Tensor:
    """The names that queries ask about, (queries, NAME_TOKENS), filled up with ``stop``."""
    (ids, offsets), _ = asked.names(places)
    names = torch.full((len(places), NAME_TOKENS), stop)
    for row in range(len(places)):
        name = ids[offsets[row] : offsets[row + 1]][:NAME_TOKENS].astype(np.int64)
        names[row, : len(name)] = torch.from_numpy(name)
    return names


def _gradients(model: PreTrainedModel, probe: VProbe, asked: QueryTokens, places: NDArray[np.int64], layers: Sequence[int]) -> dict[int, Tensor]:
    """Gradient of "yes" against "no" with respect to the states of the text at every layer, (queries, tokens of the text, d_model) each."""
    batch, modules = SequenceBatch.of(asked.pack(places), model.device), sites(model)
    text = int(batch.reads.min()) + 1
    shape = (*batch.ids.shape, model.get_input_embeddings().weight.shape[1])
    moves = {layer: torch.zeros(shape, device=model.device, requires_grad=True) for layer in layers}
    with ExitStack() as hooks:
        for layer, move in moves.items():
            hooks.enter_context(pushed(modules[layer], move * (batch.branch == SHARED)[..., None]))
        logits = probe(model, batch)
    found = torch.autograd.grad((logits[:, 1] - logits[:, 0]).sum(), list(moves.values()))
    return {layer: gradient[:, :text].detach() for layer, gradient in zip(moves, found, strict=True)}
