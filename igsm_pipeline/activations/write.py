"""The stage ``activation_cache``: it writes the states at the ends of queries and sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from tqdm import tqdm
from transformers import PreTrainedModel

from igsm_pipeline.activations.batches import split_into_passes
from igsm_pipeline.activations.cache import QUERY_KEY, SENTENCE_KEY, query_keys, states_file
from igsm_pipeline.activations.forward import SequenceBatch, freeze, layer_states, num_layers_of
from igsm_pipeline.activations.settings import ActivationSettings
from igsm_pipeline.model.device import pick_device
from igsm_pipeline.model.gpt2_rotary import load
from igsm_pipeline.problems import read_problems
from igsm_pipeline.problems.files import write_parquet
from igsm_pipeline.queries.documents import GoldDocuments
from igsm_pipeline.queries.sequences import QueryTokens
from igsm_pipeline.queries.write import read_queries
from igsm_pipeline.store import Writing
from igsm_pipeline.tokens import build_table
from igsm_pipeline.world import load_world

PROBLEMS_PER_FILE = 4096
"""Problems per file: what is lost in a crash and what is in memory at once; readers join the files."""

States = dict[int, NDArray[np.float16]]


def write_activations(settings: ActivationSettings, inputs: Mapping[str, Path], writing: Writing) -> None:
    """Write queries-*.parquet and sentences-*.parquet: keys and, per layer, a column ``layer_K`` of float16 lists of length d_model.

    All tasks share one forward pass: the frozen model contains no part of a probe, so the state at the end of " A [END]" is the same for every task.
    A query that several tasks ask is kept once.

    Args:
        settings: which states.
        inputs: folders: ``world``, ``problems``, ``queries`` and ``model``, a checkpoint or the control.
        writing: where the files go; finished files of an earlier attempt are kept.
    """
    reading = Reading(settings, inputs)
    with tqdm(total=len(reading.queries), desc=f"states {settings.arm}", unit="query", mininterval=1.0) as bar:
        for number, tokens in enumerate(reading.files()):
            paths = [states_file(writing.folder, kind, number) for kind in ("queries", "sentences")]
            if not all(path.exists() for path in paths):
                asked, ends, stops = reading.states(tokens, reading.layers)
                write_parquet(_with_states(tokens.queries, asked), paths[0])
                write_parquet(_with_states(stops, ends), paths[1])
            bar.update(len(tokens))
    problems, width = len(reading.batch), int(reading.model.config.hidden_size)
    writing.counts.update(queries=len(reading.queries), problems=problems, layers=len(reading.layers), d_model=width)


class Reading:
    """A frozen model, and the queries whose states are read from it.

    Args:
        settings: which states.
        inputs: folders: ``world``, ``problems``, ``queries`` and ``model``.

    Attributes:
        queries: the queries of all tasks, each once; see ``distinct_queries``.
        layers: the layers that are read.
    """

    def __init__(self, settings: ActivationSettings, inputs: Mapping[str, Path]) -> None:
        self.device, self.max_tokens = pick_device(settings.device), settings.max_tokens
        world = load_world(inputs["world"])
        self.batch = read_problems(inputs["problems"], world, settings.family.modulus)
        self._table = build_table(world, settings.family.modulus, settings.tokens, inputs["model"])
        self.queries = distinct_queries([read_queries(inputs["queries"], task) for task in settings.tasks])
        self.model = freeze(load(inputs["model"])).to(self.device)
        self.layers = settings.layers if settings.layers is not None else tuple(range(num_layers_of(self.model) + 1))
        self._documents = GoldDocuments(self.batch, self._table, settings.family.format)

    def files(self) -> Iterator[QueryTokens]:
        """The queries, ``PROBLEMS_PER_FILE`` problems at a time."""
        problem = self.queries["problem"].to_numpy()
        for first in range(0, max(1, len(self.batch)), PROBLEMS_PER_FILE):
            start, end = np.searchsorted(problem, [first, first + PROBLEMS_PER_FILE]).tolist()
            yield QueryTokens(self.batch, self.queries.slice(start, end - start), self._documents, self._table)

    def states(self, tokens: QueryTokens, layers: tuple[int, ...]) -> tuple[States, States, pa.Table]:
        """The states of some layers; see ``read_states``."""
        return read_states(self.model, tokens, layers, self.device, self.max_tokens)


def distinct_queries(tables: Sequence[pa.Table]) -> pa.Table:
    """The queries of several tasks, each once, with the columns ``QUERY_KEY``, sorted.

    Two tasks that ask about the same parameter after the same tokens read one state; dep reads elsewhere and differs by its parameter B.
    """
    joined = pa.concat_tables(table.select(list(QUERY_KEY)) for table in tables)
    _, first = np.unique(query_keys(joined), return_index=True)
    return joined.take(pa.array(first)).combine_chunks()


def read_states(
    model: PreTrainedModel, tokens: QueryTokens, layers: tuple[int, ...], device: torch.device, max_tokens: int
) -> tuple[States, States, pa.Table]:
    """Compute the states of every layer where queries and sentences end.

    Returns:
        The states at [END] of every query, per layer, shape (num_queries, d_model), in the order of the queries; those at the end of the question and
        of every sentence of their problems, shape (num_stops, d_model); and the keys of the latter, ``SENTENCE_KEY``, sorted.
    """
    width = int(model.config.hidden_size)
    asked = {layer: np.zeros((len(tokens), width), np.float16) for layer in layers}
    every = tokens.stops(np.arange(len(tokens)))
    ends = {layer: np.zeros((len(every.problem), width), np.float16) for layer in layers}
    first = np.searchsorted(every.problem, tokens.problems)
    for rows in split_into_passes(tokens, np.arange(len(tokens.problems)), max_tokens, whole=True):
        batch, stops = SequenceBatch.of(tokens.pack(rows, whole=True), device), tokens.stops(rows)
        place = first[np.searchsorted(tokens.problems, stops.problem)] + stops.position
        for layer, found in layer_states(model, batch, layers).items():
            asked[layer][rows] = found[batch.rows, batch.ends].half().cpu().numpy()
            ends[layer][place] = found[torch.from_numpy(stops.rows), torch.from_numpy(stops.columns)].half().cpu().numpy()
    return asked, ends, pa.table(dict(zip(SENTENCE_KEY, (every.problem, every.position), strict=True)))


def _with_states(keys: pa.Table, states: States) -> pa.Table:
    for layer, values in states.items():
        keys = keys.append_column(f"layer_{layer}", pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1]))
    return keys
