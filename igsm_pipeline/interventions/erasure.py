"""Erasure: what a linear probe reads of a concept is taken out of all states at one layer. Does the model solve less, and what can still be read?

The states are those behind " Define A as" in the generator's solutions, with every A: there the model has named A in its own words, and a linear
probe can be taught whether A is needed, computed, or can be computed next. The eraser of such a concept then acts on every state of that layer,
while the model reads and writes; so its whitening comes from all states of the training texts, and only the concept from those behind names. Or it
acts behind names only, where the model reads " as"; then both come from there. Beside it stand random erasers of the same rank, and the erasers of
the other concepts.

Source: concept scrubbing (Belrose et al., arXiv:2306.03819). Ours: which states, that it acts at one layer, the controls.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from igsm_pipeline.activations.batches import split_into_passes
from igsm_pipeline.activations.forward import SequenceBatch, layer_states
from igsm_pipeline.interventions.leace import Eraser, Whitened, erase_concept, erase_random
from igsm_pipeline.interventions.residual import erased, erased_at, sites
from igsm_pipeline.interventions.settings import RANDOM
from igsm_pipeline.model.decoding import complete
from igsm_pipeline.problems.record import ProblemBatch
from igsm_pipeline.problems.settings import FamilySettings
from igsm_pipeline.queries.documents import GoldDocuments
from igsm_pipeline.queries.draw import draw_queries
from igsm_pipeline.queries.facts import analyse
from igsm_pipeline.queries.sequences import SHARED, QueryTokens, Wording
from igsm_pipeline.queries.settings import QuerySettings
from igsm_pipeline.queries.tasks import TASKS, TaskName
from igsm_pipeline.seeding import generator
from igsm_pipeline.tokens import TokenTable, emit
from igsm_pipeline.verification.token_path import TokenVerdicts, TokenVerifier, joined

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Named:
    """Sentences begun with every kind of name, and what is true of the name, ready to be read.

    Attributes:
        tokens: the queries, in the model's own words.
        labels: task -> class of each query.
    """

    tokens: QueryTokens
    labels: dict[TaskName, Ints]

    @property
    def problem(self) -> Ints:
        """Row of each query's problem, (num_queries,)."""
        return np.asarray(self.tokens.problem, dtype=np.int64)


def draw_named(
    batch: ProblemBatch, table: TokenTable, family: FamilySettings, tasks: Sequence[TaskName], *, per_problem: int, seed: int, stream: str
) -> Named:
    """Draw sentences begun in some problems' reference solutions, and label them for every task."""
    settings = QuerySettings(family=family, task="can_next", per_problem=per_problem, seed=seed, stream=stream)
    queries = pa.concat_tables(draw_queries(batch, settings))
    tokens = QueryTokens(batch, queries, GoldDocuments(batch, table, family.format), table, Wording.own(table))
    key = [np.asarray(queries[name].to_numpy()) for name in ("problem", "position", "parameter", "parameter_b")]
    facts = analyse(batch.records)
    return Named(tokens, {task: facts.label(task, family.modulus, *key).astype(np.int64) for task in tasks})


@torch.inference_mode()
def read_named(model: PreTrainedModel, named: Named, layer: int, *, max_tokens: int) -> Tensor:
    """States of a layer where the names end, float32 on the processor, (num_queries, d_model); of the last layer after the final norm."""
    found = torch.zeros(len(named.tokens), int(model.config.hidden_size))
    for rows in split_into_passes(named.tokens, np.arange(len(named.tokens.problems)), max_tokens):
        batch = SequenceBatch.of(named.tokens.pack(rows), model.device)
        found[torch.from_numpy(rows)] = layer_states(model, batch, (layer,))[layer][batch.rows, batch.ends].float().cpu()
    return found


def read_texts(model: PreTrainedModel, named: Named, layer: int, *, max_tokens: int) -> Iterator[Tensor]:
    """States of a layer at every token of the texts that the names belong to, pass after pass, float32 on the processor, (tokens, d_model).

    A text is the problem and its reference solution, up to its last sentence; the sentences begun are left out.
    """
    for rows in split_into_passes(named.tokens, np.arange(len(named.tokens.problems)), max_tokens, whole=True):
        batch = SequenceBatch.of(named.tokens.pack(rows, whole=True), model.device)
        yield layer_states(model, batch, (layer,))[layer][batch.branch == SHARED].float().cpu()


@dataclass(frozen=True)
class Cell:
    """One thing that is erased.

    Attributes:
        what: a task, ``RANDOM`` or ``NONE``.
        layer: after which layer.
        draw: number of the random directions, from 0; 0 for the others.
        eraser: None where nothing is erased.
        token: it acts only where this id is read; None: everywhere.
        moved, moved_names: see ``stage.ERASED``.
    """

    what: str
    layer: int
    draw: int
    eraser: Eraser | None
    token: int | None = None
    moved: float = 0.0
    moved_names: float = 0.0

    @property
    def rank(self) -> int:
        """Directions that are taken out."""
        return 0 if self.eraser is None else self.eraser.rank

    def acting(self, model: PreTrainedModel) -> AbstractContextManager[None]:
        """Inside the block, the model's states at the layer are erased, everywhere or where ``token`` is read."""
        if self.eraser is None:
            return nullcontext()
        eraser = self.eraser.to(model.device)  # once, as it acts at every token
        return erased(sites(model)[self.layer], eraser) if self.token is None else erased_at(model, self.layer, eraser, self.token)


def make_cells(
    states: Tensor, named: Named, layer: int, modulus: int, *, draws: int, seed: int, texts: Iterable[Tensor] | None = None
) -> Iterator[Cell]:
    """The erasers of a layer: one per task, then random ones of every rank that these have.

    Args:
        states: of that layer, where the names end, (num_queries, d_model).
        named: their labels.
        layer: the layer.
        modulus: M.
        draws: random erasers of each rank.
        seed: of the random directions, which have a stream of their own per layer, rank and draw.
        texts: all states of that layer, in parts (``read_texts``), if the erasers act everywhere; None: they act behind names only.
    """
    names, token = Whitened.of(states), int(named.tokens.wording.after[-1])
    spread = names if texts is None else Whitened.over(chain(texts, [states]))
    made: list[tuple[str, int, Eraser]] = []
    for task, label in named.labels.items():
        concept = torch.nn.functional.one_hot(torch.from_numpy(label), TASKS[task].classes(modulus))
        made.append((task, 0, erase_concept(spread, states, concept)))
    for rank in sorted({eraser.rank for *_, eraser in made} - {0}):
        for draw in range(draws):
            numbers = generator(seed, f"erasure layer {layer} rank {rank}", draw).standard_normal((states.shape[1], rank))
            made.append((RANDOM, draw, erase_random(spread, rank, torch.from_numpy(numbers))))
    for what, draw, eraser in made:
        moved = spread.moved_by(eraser), names.moved_by(eraser)
        yield Cell(what, layer, draw, eraser.float(), token if texts is None else None, *moved)


@dataclass(frozen=True)
class Solved:
    """Solutions of some problems with something erased: the tokens written, and the verdicts."""

    tokens: list[NDArray[np.uint32]]
    verdicts: TokenVerdicts

    def same_as(self, other: Solved) -> NDArray[np.bool_]:
        """Which solutions are written token for token, (problems,)."""
        return np.array([np.array_equal(one, two) for one, two in zip(self.tokens, other.tokens, strict=True)], dtype=bool)


def solve_erased(
    model: PreTrainedModel, cell: Cell, batch: ProblemBatch, table: TokenTable, family: FamilySettings, *, max_length: int, known: bool = True
) -> Solved:
    """Let the model solve problems greedily with something erased, and verify every step.

    Args:
        model: frozen.
        cell: what is erased where.
        batch: the problems.
        table: gives the tokens.
        family: gives the format.
        max_length: most tokens of prompt and completion together.
        known: the tokens are ours, so that verdicts come from them; otherwise from the text.
    """
    emitted = emit(batch, table, family.format)
    prompts = [emitted.prompt(index) for index in range(len(batch))]
    with cell.acting(model):
        made = complete(model, prompts, max_tokens=max_length, max_length=max_length, eos=table.eos)
    ids, offsets = joined(made.tokens)
    texts = [table.decode_completion(one) for one in made.tokens]
    verifier = TokenVerifier(batch, table if known else None)
    return Solved(made.tokens, verifier.judge(ids, offsets, made.finished, np.arange(len(batch)), texts.__getitem__))
