"""Which quantities are asked about? The same probes, scored on each candidate set: does what they know rest on what they are asked?

``all`` holds quantities that a problem does not have (pairs of items without an edge), which need no reasoning to tell apart; ``existing`` leaves
them out, ``text`` keeps what the words name, ``graph`` what the law put into the dependency graph. Nothing is trained again.

Source: which sets there are (arXiv:2407.20311, app. E; ``all`` gives the majority rows of figure 7). Ours: that they stand side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from igsm_pipeline.intervals.bootstrap import Ints
from igsm_pipeline.probes.files import make_predictions
from igsm_pipeline.probes.scoring import MAJORITY, Majority, score_predictions
from igsm_pipeline.probes.settings import Prior
from igsm_pipeline.probes.text_features import text_features
from igsm_pipeline.probes.text_probe import NAME as TEXT
from igsm_pipeline.probes.text_probe import Said, learn_from_text
from igsm_pipeline.probes.v_probe import VProbe, predict
from igsm_pipeline.problems.record import ProblemBatch
from igsm_pipeline.queries.documents import GoldDocuments
from igsm_pipeline.queries.draw import draw_queries
from igsm_pipeline.queries.sequences import QueryTokens
from igsm_pipeline.queries.settings import Candidates, QuerySettings
from igsm_pipeline.tokens import TokenTable

SUBSETS = ("all", "necessary", "unnecessary")


@dataclass(frozen=True)
class Reader:
    """A V-probe and the frozen model that it reads."""

    probe: VProbe
    model: PreTrainedModel


@dataclass(frozen=True)
class Taught:
    """What trees on the text learn from, and how common each answer is: problems of the training split and the queries that the probes learned from.

    Attributes:
        batch: the problems.
        queries: of one task, as ``QUERY_SCHEMA``.
        num_classes: of the task.
        seed: of the split that stops the boosting.
        prior: how common the trees take each answer to be.
    """

    batch: ProblemBatch
    queries: pa.Table
    num_classes: int
    seed: int = 0
    prior: Prior = "training"

    @cached_property
    def trees(self) -> Callable[[NDArray[np.float32]], Said]:
        """What they have learned, once for all slices; see ``learn_from_text``."""
        how: dict[str, Any] = {"num_classes": self.num_classes, "seed": self.seed, "prior": self.prior}
        return learn_from_text(text_features(self.batch.records, self.queries), _labels(self.queries), **how)


@dataclass(frozen=True)
class Asked:
    """The problems of a slice, and how queries about them are drawn but for the candidate set.

    Attributes:
        part: name of the slice.
        batch: its problems, those that are asked about alone.
        table: gives the tokens.
        draw: how one task is asked; its candidates are replaced.
    """

    part: str
    batch: ProblemBatch
    table: TokenTable
    draw: QuerySettings


def score_sets(
    asked: Asked, sets: Sequence[Candidates], readers: Mapping[str, Reader], taught: Taught, *, device: torch.device, max_tokens: int = 16384,
    bf16: bool = False, seed: int = 0, num_resamples: int = 1000,
) -> list[dict[str, Any]]:  # fmt: skip
    """Rows of ``candidate_sets`` for one task and slice.

    Args:
        asked: who is asked what.
        sets: names of candidate sets.
        readers: ``v_probe`` and ``random``.
        taught: what the text's trees learn from; the majority guess is that of the same problems, drawn from each set.
        device: where to compute.
        max_tokens: most tokens per forward pass, padding included.
        bf16: compute the models' matrix products in bfloat16.
        seed, num_resamples: of the bootstrap.
    """
    modulus = asked.draw.family.modulus
    drawn = {name: pa.concat_tables(draw_queries(asked.batch, asked.draw.model_copy(update={"candidates": name}))) for name in sets}
    features = np.concatenate([text_features(asked.batch.records, drawn[name]) for name in sets])
    read = taught.trees(features)
    documents, rows, first = GoldDocuments(asked.batch, asked.table, asked.draw.family.format), list[dict[str, Any]](), 0
    how: dict[str, Any] = {"modulus": modulus, "seed": seed, "num_resamples": num_resamples}
    for name in sets:
        queries = drawn[name]
        tokens = QueryTokens(asked.batch, queries, documents, asked.table)
        own = slice(first, first + len(queries))
        answers = [make_predictions(queries, read[0][own], read[1][own], probe=TEXT, layer=None, part=asked.part)]
        first += len(queries)
        for reader, one in readers.items():
            said = predict(one.probe, one.model, tokens, device=device, max_tokens=max_tokens, bf16=bf16)
            answers.append(make_predictions(queries, *said, probe=reader, layer=None, part=asked.part))
        rows += _rows(pa.concat_tables(answers), name, _majority(asked, taught, name), how)
    return rows


def _labels(queries: pa.Table) -> Ints:
    return np.asarray(queries["label"].to_numpy(), dtype=np.int64)


def _majority(asked: Asked, taught: Taught, name: Candidates) -> Majority:
    """The most common answer of the set, among queries about the training problems."""
    draw = asked.draw.model_copy(update={"candidates": name, "stream": f"{asked.draw.stream} majority"})
    counts = sum(np.bincount(_labels(part), minlength=taught.num_classes) for part in draw_queries(taught.batch, draw))
    return Majority.of(np.asarray(counts, dtype=np.int64))


def _rows(answers: pa.Table, name: Candidates, majority: Majority, how: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The scores of every reader on one set; gains of the V-probe over random weights, and over the text."""
    task = str(answers["task"][0]) if len(answers) else ""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for floor in ("random", TEXT):
        compared = answers.filter(pc.is_in(answers["probe"], pa.array(["v_probe", floor])))
        guess = None if floor == TEXT else {task: majority}
        scored = score_predictions(compared, candidates=name, majority=guess, controls={"v_probe": floor}, **how)
        for row in scored.to_pylist():
            if row["subset"] in SUBSETS and row["op"] is None:
                gain = {f"{_GAINS[floor]}{end}": row[f"balanced_accuracy_gain{end}"] for end in ("", "_low", "_high")}
                key = (row["probe"], row["subset"])
                found[key] = {**found.get(key, row), "reader": row["probe"], **gain}
    return [row for reader in (*_READERS, MAJORITY) for (probe, _), row in found.items() if probe == reader]


_GAINS = {"random": "gain", TEXT: "gain_over_text"}
_READERS = ("v_probe", "random", TEXT)
