"""A trained V-probe with the model that it reads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import get_args

import polars as pl
import torch
from transformers import PreTrainedModel

from igsm_pipeline.activations.forward import freeze
from igsm_pipeline.errors import BadInput, must_be
from igsm_pipeline.model.device import pick_device
from igsm_pipeline.model.gpt2_rotary import load
from igsm_pipeline.notebook.frames import from_arrow, with_names
from igsm_pipeline.notebook.mind import one_of
from igsm_pipeline.probes.v_probe import VProbe, load_probe, predict
from igsm_pipeline.problems.record import ProblemBatch
from igsm_pipeline.queries.documents import GoldDocuments
from igsm_pipeline.queries.draw import list_queries
from igsm_pipeline.queries.sequences import QueryTokens
from igsm_pipeline.queries.settings import Candidates, QuerySettings
from igsm_pipeline.queries.tasks import TaskName
from igsm_pipeline.tokens import TokenSettings, build_table
from igsm_pipeline.world import World

MAX_TOKENS = 16384
"""Most tokens per forward pass, padding included; passes are independent."""


@dataclass(frozen=True)
class Probe:
    """The V-probe of one task: a small update of the input embedding, and a linear head on the last state of a frozen model.

    Attributes:
        queries: the task, the family of problems, and which parameters it can be asked about.
        tokens: how text becomes tokens.
        world: the names in the problems that it was trained on.
        folder: folder of the trained probe.
        model_folder: folder of the model that it was trained on.
        device: where to compute.
    """

    queries: QuerySettings
    tokens: TokenSettings
    world: World
    folder: Path
    model_folder: Path
    device: torch.device

    @property
    def task(self) -> TaskName:
        """The task that it answers: nece, dep, known, value, can_next or nece_next.

        >>> mind.probe("nece").task
        'nece'
        """
        return self.queries.task

    @cached_property
    def network(self) -> VProbe:
        """The trained weights as a ``torch.nn.Module``: ``rows`` and ``directions`` of the update, ``weight`` and ``bias`` of the head.

        >>> mind.probe("nece").network.num_classes
        2
        """
        return load_probe(self.folder, self.device)

    @cached_property
    def model(self) -> PreTrainedModel:
        """The frozen model.

        >>> any(weight.requires_grad for weight in mind.probe("nece").model.parameters())
        False
        """
        return freeze(load(self.model_folder).to(self.device))

    def ask(self, problems: ProblemBatch, *, candidates: Candidates | None = None) -> pl.DataFrame:
        """Ask the probe about every parameter of some problems, at every sentence of their reference solutions.

        >>> said = mind.probe("known").ask(mind.batch("op<=max").take(slice(0, 2)))
        >>> said.select("problem", "position", "name", "label", "prediction", "score").columns[-1]
        'score'
        >>> set(said["problem"])
        {0, 1}

        Args:
            problems: problems of the world and modulus that the model was trained on. Take a few, since it asks about everything.
            candidates: which parameters it asks about: graph, existing, text or all; None: as in the experiment.

        Returns:
            One row per query: ``problem`` (row of the batch), ``position`` (number of sentences read, 0 is the end of the question), ``parameter``
            (its code), ``name``, ``label`` (the true answer), ``prediction``, ``score`` (probability of label 1; for value, of the predicted class),
            and further facts of the parameter. For value, label M means that the value is not known yet; for dep, ``name_b`` is the other parameter.

        Raises:
            BadInput: it is no batch, or of problems of another world or modulus; or there are no such candidates.
        """
        must_be("problems", problems, ProblemBatch, "a batch of problems", "take one: mind.batch(SLICE).take(slice(0, 4)), or igsm.generate(4)")
        known, got = (self.world, self.queries.family.modulus), (problems.world, problems.modulus)
        if got != known:
            named = (got[0].content_hash[:8], got[1])
            raise BadInput("problems", f"must be of the model's world ({self.world.content_hash[:8]}) and modulus ({known[1]})", named, "draw others")
        chosen = None if candidates is None else one_of("candidates", candidates, get_args(Candidates))
        how = self.queries if chosen is None else self.queries.model_copy(update={"candidates": chosen})
        queries = list_queries(problems, how)
        table = build_table(problems.world, problems.modulus, self.tokens, self.model_folder)
        tokens = QueryTokens(problems, queries, GoldDocuments(problems, table, how.family.format), table)
        prediction, score = predict(self.network, self.model, tokens, device=self.device, max_tokens=MAX_TOKENS)
        said = from_arrow(queries).with_columns(pl.Series("prediction", prediction), pl.Series("score", score))
        return with_names(said, problems)

    def on(self, device: str) -> Probe:
        """The same probe on another device.

        >>> mind.probe("nece").on("cpu").device
        device(type='cpu')
        """
        return replace(self, device=pick_device(device))
