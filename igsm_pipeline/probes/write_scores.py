"""The stage ``probe_scores``: it asks every trained probe the queries of one slice and scores the answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor
from tqdm import tqdm
from transformers import PreTrainedModel

from igsm_pipeline.activations.cache import CachedStates
from igsm_pipeline.activations.computed import ComputedStates
from igsm_pipeline.activations.forward import freeze
from igsm_pipeline.activations.settings import ActivationSettings
from igsm_pipeline.model.device import pick_device
from igsm_pipeline.model.gpt2_rotary import load
from igsm_pipeline.probes.dense import map_mental_state
from igsm_pipeline.probes.files import (
    BEYOND_TEXT,
    DISTANCES,
    MENTAL_STATE,
    METRICS,
    PREDICTIONS,
    PROBES,
    SELECTION,
    make_predictions,
    read_tokens,
)
from igsm_pipeline.probes.linear import LinearProbe
from igsm_pipeline.probes.scoring import Majority, score_distances, score_predictions
from igsm_pipeline.probes.settings import ARMS, Arm, ScoreSettings
from igsm_pipeline.probes.text_probe import score_beyond_text
from igsm_pipeline.probes.v_probe import VProbe, computes_bf16, load_probe, predict, read_description
from igsm_pipeline.problems.files import write_parquet
from igsm_pipeline.queries.documents import GoldDocuments
from igsm_pipeline.queries.sequences import QueryTokens
from igsm_pipeline.queries.settings import QuerySettings
from igsm_pipeline.queries.tasks import TASKS
from igsm_pipeline.stage import folder_of, parts_of
from igsm_pipeline.store import Writing

V_NAMES: Mapping[Arm, str] = {"trained": "v_probe", "random": "random"}
LAYER_NAME, LAYER_PART = "v_probe_layer", "nece layer "
LINEAR_NAMES: Mapping[Arm, str] = {"trained": "linear", "random": "linear_random"}


def write_scores(settings: ScoreSettings, inputs: Mapping[str, Path], writing: Writing) -> None:
    """Write the tables of one slice: predictions, metrics, beyond_text, distances and mental_state (see ``probes.dense``).

    Args:
        settings: the slice, its tasks, and how to score.
        inputs: folders: ``world``, and ``problems`` and ``queries`` of the slice; for each arm (trained, random) ``model:ARM``,
            ``linear_probes:ARM``, and ``activations:ARM`` of the slice if states are kept; for each task and arm ``v_probes:TASK ARM``;
            ``v_probes:nece layer L`` where layers are read; ``text_probes``.
        writing: where the files go.
    """
    scorer = _Scorer(settings, inputs)
    tables = [*scorer.ask_linear_probes(), *scorer.ask_v_probes(), *scorer.ask_layers(), *scorer.read_text()]
    scores, distances, beyond = [], [], []
    for task in settings.tasks:
        said = pa.concat_tables(table for name, table in tables if name == task)
        candidates = str(scorer.asked[task].queries["candidates"][0].as_py()) if len(said) else ""
        scores.append(
            score_predictions(
                said,
                modulus=settings.family.modulus,
                candidates=candidates,
                majority=scorer.majority(task),
                chosen=scorer.chosen,
                seed=settings.seed,
                num_resamples=settings.num_resamples,
            )
        )
        beyond.append(score_beyond_text(said, modulus=settings.family.modulus, seed=settings.seed, num_resamples=settings.num_resamples))
        distances.append(score_distances(said, seed=settings.seed, num_resamples=settings.num_resamples))
    predictions = pa.concat_tables(table for _, table in tables)
    write_parquet(predictions, writing.folder / PREDICTIONS)
    write_parquet(pa.concat_tables(scores), writing.folder / METRICS)
    write_parquet(pa.concat_tables(beyond), writing.folder / BEYOND_TEXT)
    write_parquet(pa.concat_tables(distances), writing.folder / DISTANCES)
    if scorer.maps:
        write_parquet(pa.concat_tables(scorer.maps), writing.folder / MENTAL_STATE)
    problems = {len(tokens.problems) for tokens in scorer.asked.values()}
    writing.counts.update(predictions=len(predictions), problems=max(problems), mapped=sum(len(one) for one in scorer.maps))


class _Scorer:
    """Asks the probes about one slice.

    Attributes:
        asked: task -> queries.
        chosen: (task, probe) -> the chosen layer of a linear probe.
        maps: the dense maps that ``ask_v_probes`` has made so far.
    """

    def __init__(self, settings: ScoreSettings, inputs: Mapping[str, Path]) -> None:
        self.settings, self.inputs, self.device = settings, inputs, pick_device(settings.device)
        self.asked = read_tokens(settings.family, settings.tokens, inputs, folder_of(inputs, "model", "trained"), settings.tasks)
        self.chosen: dict[tuple[str, str], int] = {}
        self.maps: list[pa.Table] = []
        for arm in ARMS:
            if f"linear_probes:{arm}" in inputs:
                for row in pq.read_table(folder_of(inputs, "linear_probes", arm) / SELECTION).to_pylist():
                    if row["chosen"]:
                        self.chosen[row["task"], LINEAR_NAMES[arm]] = row["layer"]

    def majority(self, task: str) -> dict[str, Majority]:
        """The majority guess by task, from the labels that the task's V-probes were trained on; empty if it has no V-probe."""
        folders = [folder for role, folder in self.inputs.items() if role.startswith(f"v_probes:{task} ")]
        return {task: Majority.of(np.array(read_description(folders[0])["label_counts"]))} if folders else {}

    def ask_linear_probes(self) -> Iterator[tuple[str, pa.Table]]:
        """Yield (task, predictions) for every layer and arm."""
        for arm in ARMS:
            if f"linear_probes:{arm}" not in self.inputs:
                continue
            weights: Mapping[str, Tensor] = load_file(folder_of(self.inputs, "linear_probes", arm) / PROBES)
            cache = self._states(arm)
            rows = {task: torch.from_numpy(cache.rows_of(tokens.queries)) for task, tokens in self.asked.items()}
            for layer in cache.layers:
                states = torch.from_numpy(cache.layer(layer))
                for task, tokens in self.asked.items():
                    probe = LinearProbe.from_tensors(weights, f"{task}.layer_{layer}")
                    said = probe.predict(states[rows[task]])
                    yield task, make_predictions(tokens.queries, *said, probe=LINEAR_NAMES[arm], layer=layer, part=self.settings.slice)

    def _states(self, arm: Arm) -> CachedStates | ComputedStates:
        """The states that linear probes read: kept ones, or, where none were kept, the same computed now."""
        if f"activations:{arm}" in self.inputs:
            return CachedStates(folder_of(self.inputs, "activations", arm))
        settings = self.settings
        wanted = ActivationSettings(family=settings.family, tokens=settings.tokens, tasks=settings.tasks, arm=arm, device=settings.device)
        own = {role: self.inputs[role] for role in ("world", "problems", "queries")}
        return ComputedStates(wanted, {**own, "model": folder_of(self.inputs, "model", arm)})

    def ask_v_probes(self) -> Iterator[tuple[str, pa.Table]]:
        """Yield (task, predictions) for every arm; probes of the trained model also fill ``maps``."""
        settings = self.settings
        for arm in ARMS:
            tasks = [task for task in self.asked if f"v_probes:{task} {arm}" in self.inputs]
            if not tasks:
                continue
            model = freeze(load(folder_of(self.inputs, "model", arm))).to(self.device)
            for task in tqdm(tasks, desc=f"V-probes {arm}", unit="task", mininterval=1.0):
                probe, tokens = load_probe(folder_of(self.inputs, "v_probes", f"{task} {arm}"), self.device), self.asked[task]
                said = self._predict(probe, model, tokens)
                yield task, make_predictions(tokens.queries, *said, probe=V_NAMES[arm], layer=None, part=settings.slice)
                if arm == "trained" and not TASKS[task].needs_b and settings.mapped_problems and len(tokens):
                    self.maps.append(self._map(probe, model, task, tokens))

    def _predict(self, probe: VProbe, model: PreTrainedModel, tokens: QueryTokens) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
        bf16 = computes_bf16(self.settings.precision, self.device)
        return predict(probe, model, tokens, device=self.device, max_tokens=self.settings.max_tokens, bf16=bf16)

    def read_text(self) -> Iterator[tuple[str, pa.Table]]:
        """(task, predictions) of the text probe, which were made before."""
        if "text_probes" in self.inputs:
            said = pq.read_table(self.inputs["text_probes"] / PREDICTIONS)
            for task in self.asked:
                yield task, said.filter(pa.compute.equal(said["task"], task))

    def ask_layers(self) -> Iterator[tuple[str, pa.Table]]:
        """(nece, predictions) of the V-probes that read one layer each."""
        parts = [part for part in parts_of(self.inputs, "v_probes") if part.startswith(LAYER_PART)]
        if not parts:
            return
        model, tokens = freeze(load(folder_of(self.inputs, "model", "trained"))).to(self.device), self.asked["nece"]
        for layer, part in sorted((int(part.removeprefix(LAYER_PART)), part) for part in parts):
            said = self._predict(load_probe(folder_of(self.inputs, "v_probes", part), self.device), model, tokens)
            yield "nece", make_predictions(tokens.queries, *said, probe=LAYER_NAME, layer=layer, part=self.settings.slice)

    def _map(self, probe: VProbe, model: PreTrainedModel, task: str, tokens: QueryTokens) -> pa.Table:
        settings = self.settings
        candidates = tokens.queries["candidates"][0].as_py()
        query = QuerySettings.parse({"family": settings.family.model_dump(), "task": task, "candidates": candidates}, "probe_scores")
        documents = GoldDocuments(tokens.batch.take(slice(0, settings.mapped_problems)), tokens.table, settings.family.format)
        return map_mental_state(probe, model, documents, query, part=settings.slice, device=self.device, max_tokens=settings.max_tokens)
