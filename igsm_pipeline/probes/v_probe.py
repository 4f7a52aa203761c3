"""The V-probe: it appends a query to a text and reads the answer from the frozen model's last state at the query's end.

The probe has two trained parts: a rank-r update of the input embedding, which lets the model read the query's markers, and a linear head on the
last layer's state (after the final norm) at [END]. Figures 10 and 14 read other layers, with an update and a head for each. The model's weights
are frozen. So small an update cannot solve the task by itself; the control, a probe of the same shape on a randomly initialised model, shows how
far it gets without pretraining.

With layer 0 nothing mixes tokens, so that the state at [END] would be the same whatever is asked. There the head reads all that an unmixed text
offers: the mean embedding of the text up to the read position, that of the query's tokens, and the position.

Source: figures 7, 10, 12 and 14 (arXiv:2407.20311). Ours: layer 0; the initial values (the update starts at 0, except for the markers; see
``settle_markers``), and one forward pass per task, because the embedding update differs from task to task.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from igsm_pipeline import seeding
from igsm_pipeline.activations.batches import split_into_passes
from igsm_pipeline.activations.fixed_rows import FixedRows, Row, Shape, choose_shapes, pays
from igsm_pipeline.activations.forward import SequenceBatch, embed, end_states
from igsm_pipeline.errors import BadCheckpoint
from igsm_pipeline.model.compiling import NOT_COMPILED, reason
from igsm_pipeline.probes.settings import Precision
from igsm_pipeline.probes.weights import write_tensors
from igsm_pipeline.queries.sequences import QueryTokens, Sequences

WEIGHTS, DESCRIPTION = "probe.safetensors", "probe.json"
_log = logging.getLogger(__name__)
_SIZE = 0.5
"""Initial size of the directions; at 1 the first steps change embeddings by more than their own length (LOG.md)."""


class VProbe(nn.Module):
    """A rank-r update of the input embedding, and a linear head.

    Args:
        vocab_size: rows of the model's embedding.
        d_model: width of the model.
        num_classes: classes of the task: 2, or M + 1 for value.
        rank: the rank r.
        seed: together with ``start`` and the sizes it decides the initial values.
        start: number of the start; each start has initial values of its own.
        layer: the layer whose output the head reads, counted from 1; None: the last one, after the final norm; 0: no layer, means of embeddings.
    """

    def __init__(self, vocab_size: int, d_model: int, num_classes: int, rank: int, seed: int, start: int = 0, layer: int | None = None) -> None:
        super().__init__()
        self.layer = layer
        generator = torch.Generator().manual_seed(seeding.torch_seed(seed, "v_probe.init", start))
        self.rows = nn.Parameter(torch.zeros(vocab_size, rank))
        self.directions = nn.Parameter(torch.randn(rank, d_model, generator=generator) * (_SIZE / math.sqrt(rank)))
        read = 2 * d_model + 1 if layer == 0 else d_model
        self.weight = nn.Parameter(torch.randn(num_classes, read, generator=generator) / math.sqrt(d_model))
        self.bias = nn.Parameter(torch.zeros(num_classes))

    @torch.no_grad()
    def settle_markers(self, model: PreTrainedModel, markers: Sequence[int], used: Tensor) -> None:
        """Set the update so that the markers' mean embedding moves to the mean of the tokens in use.

        The model has never seen the markers in training. With tied embeddings, training pushes unseen tokens far out along one direction (in a small
        model to four times the length of other embeddings), and learning from there is slow. One of the r directions undoes that push for all
        markers; their differences stay.

        Args:
            model: the frozen model.
            markers: token ids of [START], [MID], [END]; without any the update stays 0.
            used: ids of tokens that texts contain, any shape.
        """
        if not markers:
            return
        table: Tensor = model.get_input_embeddings().weight
        chosen = torch.tensor(list(markers), device=table.device)
        others = torch.zeros(len(table), dtype=torch.bool, device=table.device)
        others[used] = True
        others[chosen] = False
        offset = table[others].mean(0) - table[chosen].mean(0)
        scale = self.directions.norm(dim=1).mean()
        length = offset.norm()
        if length > 0:
            self.directions[0] = offset / length * scale
            self.rows[chosen, 0] = length / scale

    def forward(self, model: PreTrainedModel, batch: SequenceBatch) -> Tensor:
        """Logits of every query of a batch, float32, (num_queries, num_classes)."""
        embedded = embed(model, batch.ids) + self.update(batch.ids)
        states = unmixed_states(batch, embedded) if self.layer == 0 else end_states(model, batch, embedded, self.layer)
        return self.answer(states)

    def ask_row(self, rows: FixedRows, row: Row) -> Tensor:
        """The same logits from a row of a fixed shape, those of unused slots behind them, float32, (slots, num_classes)."""
        return self.answer(rows.states(row, embed(rows.model, row.ids) + self.update(row.ids)))

    def update(self, ids: Tensor) -> Tensor:
        """What the probe adds to the embeddings of token ids of any shape, (*shape, d_model)."""
        return nn.functional.embedding(ids, self.rows) @ self.directions

    def answer(self, states: Tensor) -> Tensor:
        """Logits from what is read of each query, float32, (num_queries, num_classes)."""
        with torch.autocast(states.device.type, enabled=False):
            return nn.functional.linear(states.float(), self.weight, self.bias)

    @property
    def num_classes(self) -> int:
        """How many classes the task has."""
        return len(self.bias)


def unmixed_states(batch: SequenceBatch, embedded: Tensor) -> Tensor:
    """What can be read of every query where no layer mixes tokens, (num_queries, 2 * d_model + 1).

    The mean of the embeddings of the text up to the read position, the mean of those of the query's own tokens, and the logarithm of the position.

    Args:
        batch: the packed queries.
        embedded: their tokens' embeddings, (batch, length, d_model).
    """
    sums = nn.functional.pad(embedded.cumsum(1), (0, 0, 1, 0))
    text = batch.reads + 1
    own = batch.positions[batch.rows, batch.ends] - batch.reads
    behind = batch.ends + 1
    means = [
        sums[batch.rows, text] / text[:, None],
        (sums[batch.rows, behind] - sums[batch.rows, behind - own]) / own[:, None],
        text[:, None].to(embedded.dtype).log(),
    ]
    return torch.cat(means, dim=1)


def fit_sizes(model: PreTrainedModel) -> tuple[int, int]:
    """The sizes (vocab_size, d_model) of a probe on this model."""
    weight: Tensor = model.get_input_embeddings().weight
    return weight.shape[0], weight.shape[1]


def computes_bf16(precision: Precision, device: torch.device) -> bool:
    """Whether the frozen model's matrix products are computed in bfloat16 on a device."""
    return precision == "bf16" or (precision == "auto" and device.type != "cpu")


class Asking:
    """Asks probes of one layer of a frozen model: a problem in a row each, or, on a GPU where it pays, all in one row of a compiled shape.

    Args:
        model: the frozen model, on ``device``.
        layer: the layer that the probes read.
        device: where to compute.
        bf16: compute matrix products of the model in bfloat16.
        passes: how many forward passes are to come.
        shapes: gives the shapes that take them; called where they are needed.
    """

    def __init__(
        self, model: PreTrainedModel, layer: int | None, device: torch.device, *, bf16: bool, passes: int, shapes: Callable[[], tuple[Shape, ...]]
    ) -> None:
        self.model, self.device, self.bf16 = model, device, bf16
        self.fixed = FixedRows(model, shapes(), layer, device) if pays(model, layer, device, passes) else None

    def logits(self, probe: VProbe, sequences: Sequences) -> Tensor:
        """Logits of packed queries, in their order, float32, (num_queries or more, num_classes); what comes behind them means nothing.

        What does not compile here is computed without compiling.
        """
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            if self.fixed is not None:
                try:
                    return probe.ask_row(self.fixed, self.fixed.row(sequences))
                except NOT_COMPILED as error:
                    self.give_up(error)
            logits: Tensor = probe(self.model, SequenceBatch.of(sequences, self.device))
            return logits

    def give_up(self, error: Exception) -> None:
        """Compile nothing from now on, for compiling failed; where nothing was compiled, the error is raised."""
        if self.fixed is None:
            raise error
        self.fixed = None
        _log.warning("probing is not compiled, for compiling failed (%s); it takes longer", reason(error))


@torch.inference_mode()
def predict(
    probe: VProbe, model: PreTrainedModel, tokens: QueryTokens, *, device: torch.device, max_tokens: int, bf16: bool = False
) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    """Ask a probe all queries.

    Args:
        probe: a trained probe.
        model: the model that it was trained on, on ``device``.
        tokens: the queries.
        device: where to compute.
        max_tokens: most tokens per forward pass, padding included.
        bf16: compute matrix products of the model in bfloat16.

    Returns:
        Predicted classes, int16, and scores, float32, (num_queries,) each. The score is the probability of label 1 for two classes, and that of
        the predicted class for more.
    """
    prediction, score = np.zeros(len(tokens), np.int16), np.zeros(len(tokens), np.float32)
    passes = list(split_into_passes(tokens, np.arange(len(tokens.problems)), max_tokens))

    def shapes() -> tuple[Shape, ...]:
        return choose_shapes(np.array([tokens.size(rows) for rows in passes]), np.array([len(rows) for rows in passes]))

    asking = Asking(model, probe.layer, device, bf16=bf16, passes=len(passes), shapes=shapes)
    for rows in passes:
        probabilities = asking.logits(probe, tokens.pack(rows))[: len(rows)].softmax(-1)
        best, answer = probabilities.max(-1)
        prediction[rows] = answer.cpu().numpy().astype(np.int16)
        score[rows] = (probabilities[:, 1] if probe.num_classes == 2 else best).cpu().numpy()
    return prediction, score


def save_probe(probe: VProbe, folder: Path, task: str, **more: Any) -> None:
    """Write probe.safetensors and probe.json (task, sizes, and ``more`` as JSON values) into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (rank, width), vocab_size = probe.directions.shape, len(probe.rows)
    sizes = {"task": task, "rank": rank, "vocab_size": vocab_size, "d_model": width, "num_classes": probe.num_classes}
    sizes |= {} if probe.layer is None else {"layer": probe.layer}
    (folder / DESCRIPTION).write_text(json.dumps({**sizes, **more}, indent=1) + "\n")
    write_tensors(probe.state_dict(), folder / WEIGHTS)


def read_description(folder: Path) -> dict[str, Any]:
    """Read probe.json: the probe's task, sizes and training settings.

    Raises:
        BadCheckpoint: the folder holds no probe.
    """
    try:
        return dict(json.loads((folder / DESCRIPTION).read_text()))
    except (OSError, ValueError) as error:
        raise BadCheckpoint(f"probe {folder}", f"must hold {DESCRIPTION}", f"{type(error).__name__}: {error}", "train it again") from None


def load_probe(folder: Path, device: torch.device | str = "cpu") -> VProbe:
    """Load a probe that ``save_probe`` wrote.

    Raises:
        BadCheckpoint: the folder holds no probe.
    """
    sizes = read_description(folder)
    try:
        probe = VProbe(sizes["vocab_size"], sizes["d_model"], sizes["num_classes"], sizes["rank"], seed=0, layer=sizes.get("layer"))
        probe.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, KeyError, ValueError, RuntimeError, SafetensorError) as error:
        raise BadCheckpoint(
            f"probe {folder}", f"must hold {WEIGHTS} and {DESCRIPTION}", f"{type(error).__name__}: {error}", "train it again"
        ) from None
    return probe.to(device)
