"""Description length: how many bits the answers cost somebody who can read the states, with the online code.

The answers are sent in the order in which a probe's training reads the queries. Each batch is coded with the probe as it stands; then the probe
learns from it, on both sides, so that nothing of the probe has to be sent. What is easily read is learned early and costs little: the length
counts how good a probe becomes and how soon. A training reads each query once before it reads any twice, and takes its loss on a batch before the
step; hence the losses of its first epoch are this code. Which of several starts was trained to its end costs the logarithm of their number.

Source: Voita and Titov, Information-Theoretic Probing with Minimum Description Length (arXiv:2003.12298), with its marks at 0.1 to 100 % of the
queries. Ours: blocks of one batch, where theirs are eleven with a training from scratch for each: no training is needed, and both bound the length.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from igsm_pipeline.intervals.bootstrap import Floats, interval
from igsm_pipeline.probes.settings import VProbeSettings
from igsm_pipeline.probes.v_training import batches_of
from igsm_pipeline.queries.sequences import QueryTokens

Ints = NDArray[np.int64]
MARKS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.0625, 0.125, 0.25, 0.5, 1.0)
"""Source: the ends of Voita and Titov's blocks, as shares of the training queries."""
_ENDLESS = (-math.inf, math.inf)


@dataclass(frozen=True)
class Code:
    """The code of some answers, batch after batch.

    Attributes:
        bits: of each batch, (num_batches,).
        queries: of each batch, (num_batches,).
        num_classes: a code that knows nothing spends the logarithm of it on each answer.
    """

    bits: Floats
    queries: Ints
    num_classes: int


def queries_read(recipe: VProbeSettings, tokens: QueryTokens) -> list[Ints]:
    """Rows of the queries that each step of a training reads, up to its end or to that of the first epoch."""
    batches, _ = batches_of(recipe, tokens)
    return [tokens.rows_of(batches.at(step)) for step in range(min(recipe.num_steps, batches.per_epoch))]


def online_code(read: Sequence[Ints], losses: NDArray[np.floating], num_classes: int, *, starts: int = 1, told: float = 0.0) -> Code:
    """The code that a V-probe's training was.

    Args:
        read: see ``queries_read``.
        losses: mean cross-entropy of every step, in nats, (num_steps,).
        num_classes: of the task.
        starts: how many starts the trained one was chosen from.
        told: bits of what both sides must know before the first answer.
    """
    queries = np.array([len(rows) for rows in read], dtype=np.int64)
    bits = losses[: len(queries)].astype(np.float64) * queries / math.log(2)
    bits[0] += math.log2(starts) + told
    return Code(bits, queries, num_classes)


def code_of_shares(read: Sequence[Ints], label: Ints, num_classes: int) -> Code:
    """The code of somebody who reads no state, and only counts how often each answer has come so far: what unequal shares alone save.

    Source: Krichevsky and Trofimov's estimator, half a count of each class to begin with.

    Args:
        read: see ``queries_read``.
        label: the answers to all queries.
        num_classes: of the task.
    """
    queries, sent = np.array([len(rows) for rows in read], dtype=np.int64), label[np.concatenate(read)]
    before = np.cumsum(sent[:, None] == np.arange(num_classes), axis=0) - (sent[:, None] == np.arange(num_classes))
    number = np.arange(len(sent))
    bits = -np.log2((before[number, sent] + 0.5) / (number + num_classes / 2))
    return Code(np.add.reduceat(bits, np.cumsum(queries) - queries), queries, num_classes)


def code_rows(code: Code, best: Code, *, seed: int, num_resamples: int) -> list[dict[str, Any]]:
    """Cells of ``description_length``, one row per mark that holds a whole batch.

    Args:
        code: the code.
        best: that of the V-probe on the trained model, with which it is compared batch by batch.
        seed, num_resamples: of the bootstrap over batches. Ours: batches are drawn anew, what the probe has learned by then is kept.
    """
    rows = []
    for mark in MARKS:
        number = round(mark * len(code.bits))
        if not number:
            continue
        most = code.queries[:number] * math.log2(code.num_classes)
        sums = np.stack([code.bits[:number], best.bits[:number], code.queries[:number], most], axis=1)
        how: dict[str, Any] = {"scale": _ENDLESS, "seed": seed, "num_resamples": num_resamples}
        rows.append(
            {
                **{"share": mark, "n": int(code.queries[:number].sum()), "bits": float(code.bits[:number].sum()), "uniform": float(most.sum())},
                **interval(sums, lambda total: total[:, 3] / total[:, 0], **how).columns("compression"),
                **interval(sums, lambda total: (total[:, 0] - total[:, 1]) / total[:, 2], **how).columns("longer"),
            }
        )
    return rows
