"""The stage ``error_correlation``: it computes figure 8 and the mistake predictor on a model's own generations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.lib.recfunctions import repack_fields
from numpy.typing import NDArray
from tqdm import tqdm
from transformers import PreTrainedModel

from igsm_pipeline.activations.forward import freeze
from igsm_pipeline.correlation.mistakes import MISTAKE_TASKS, find_mistakes, find_unnecessary, match_groups, mistake_queries
from igsm_pipeline.correlation.predictor import PREDICTOR_SCHEMA, Outlook, draw_folds, predictor_rows, probe_features
from igsm_pipeline.correlation.rates import Answers, rate_table
from igsm_pipeline.correlation.settings import CorrelationSettings
from igsm_pipeline.correlation.stage import EVENTS as EVENTS_TABLE
from igsm_pipeline.correlation.written import WrittenDocuments
from igsm_pipeline.model.device import pick_device
from igsm_pipeline.model.gpt2_rotary import load
from igsm_pipeline.probes.v_probe import VProbe, computes_bf16, load_probe, predict
from igsm_pipeline.problems import ProblemBatch, read_problems
from igsm_pipeline.problems.anatomy import NOTHING
from igsm_pipeline.problems.files import write_parquet
from igsm_pipeline.queries.documents import Documents, GoldDocuments
from igsm_pipeline.queries.draw import list_queries
from igsm_pipeline.queries.facts import Asking, analyse
from igsm_pipeline.queries.sequences import QueryTokens
from igsm_pipeline.queries.settings import QuerySettings
from igsm_pipeline.stage import folder_of, parts_of
from igsm_pipeline.store import Writing
from igsm_pipeline.text import retries as text_retries
from igsm_pipeline.tokens import TokenTable, build_table
from igsm_pipeline.tokens.retries import without_retries
from igsm_pipeline.world import load_world

CORRELATION, PREDICTOR, EVENTS = "correlation.parquet", "mistake_predictor.parquet", "events.parquet"
STATED = ["hierarchy", "first_layer", "widths", "subcategory", "items", "children", "parents", "form", "constant"]
"""The fields of a record that its statements follow from, whatever is asked."""


def write_correlation(settings: CorrelationSettings, inputs: Mapping[str, Path], writing: Writing) -> None:
    """Write correlation.parquet (``CORRELATION``), mistake_predictor.parquet (``PREDICTOR``) and events.parquet.

    Args:
        settings: how to compute.
        inputs: folders: ``world``, ``checkpoint``; for each slice ``problems:SLICE``, ``generations:SLICE`` and ``verdicts:SLICE``; for each task
            (nece, can_next, nece_next) ``v_probes:TASK``. Without a task's probe its rows are left out.
        writing: where the files go.
    """
    asked = _ProbedModel(settings, inputs)
    parts = parts_of(inputs, "generations")
    outlooks: dict[str, Outlook] = {}
    for part in tqdm(parts, desc="error correlation", unit="slice"):
        written = _Written.read(part, settings, inputs, asked)
        if "nece" in asked.probes:
            outlooks[part] = asked.look_ahead(written)
        asked.look_back(written)
    if len(outlooks) > 1:
        outlooks["all"] = Outlook.joined(list(outlooks.values()))
    how = {"seed": settings.seed, "num_resamples": settings.num_resamples}
    rows = [row for part, one in outlooks.items() for row in predictor_rows(part, one, l2=settings.l2, min_events=settings.min_events, **how)]
    write_parquet(rate_table(asked.answers, **how), writing.folder / CORRELATION)
    write_parquet(pa.Table.from_pylist(rows, schema=PREDICTOR_SCHEMA), writing.folder / PREDICTOR)
    events = pa.concat_tables([EVENTS_TABLE.schema().empty_table(), *asked.events])
    write_parquet(events, writing.folder / EVENTS)
    writing.counts.update(slices=len(parts), events=len(events))


@dataclass(frozen=True)
class _Written:
    """The problems of a slice, the model's solutions and their verdicts; ``texts`` and ``number``, of each problem, are by problem row.

    What a model took back is left out of its solutions, as in their verdicts.
    """

    part: str
    batch: ProblemBatch
    number: NDArray[np.int64]
    texts: list[str]
    verdicts: pa.Table
    documents: WrittenDocuments

    @classmethod
    def read(cls, part: str, settings: CorrelationSettings, inputs: Mapping[str, Path], asked: _ProbedModel) -> _Written:
        batch = read_problems(folder_of(inputs, "problems", part), asked.world, settings.family.modulus)
        made = pq.read_table(folder_of(inputs, "generations", part) / "generations.parquet", columns=["problem", "tokens", "text"])
        verdicts = pq.read_table(folder_of(inputs, "verdicts", part) / "verdicts.parquet")
        texts = [""] * len(batch)
        completions: list[NDArray[np.integer]] = [np.empty(0, np.uint32)] * len(batch)
        for row, tokens, text in zip(made["problem"].to_pylist(), made["tokens"], made["text"].to_pylist(), strict=True):
            ids = tokens.values.to_numpy()
            texts[row] = text_retries.without_retries(text)[0]
            completions[row] = without_retries(ids, np.array([0, len(ids)]), asked.table)[0]
        return cls(part, batch, asked.number(batch), texts, verdicts, WrittenDocuments(batch, completions, asked.table, settings.family.format))


@dataclass
class _ProbedModel:
    """The model, its probes, and the answers that they have given so far."""

    settings: CorrelationSettings
    inputs: Mapping[str, Path]
    answers: list[Answers] = field(default_factory=list)
    events: list[pa.Table] = field(default_factory=list)
    seen: dict[bytes, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.device = pick_device(self.settings.device)
        self.world = load_world(self.inputs["world"])

    @cached_property
    def table(self) -> TokenTable:
        return build_table(self.world, self.settings.family.modulus, self.settings.tokens, self.inputs["checkpoint"])

    @cached_property
    def model(self) -> PreTrainedModel:
        return freeze(load(self.inputs["checkpoint"]).to(self.device))

    @cached_property
    def probes(self) -> dict[str, VProbe]:
        return {task: load_probe(folder_of(self.inputs, "v_probes", task), self.device) for task in parts_of(self.inputs, "v_probes")}

    def ask(self, task: str, batch: ProblemBatch, queries: pa.Table, documents: Documents) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
        """Predictions and scores of a task's probe, (num_queries,) each."""
        if not len(queries):
            return np.zeros(0, np.int16), np.zeros(0, np.float32)
        tokens = QueryTokens(batch, queries, documents, self.table)
        bf16 = computes_bf16(self.settings.precision, self.device)
        return predict(self.probes[task], self.model, tokens, device=self.device, max_tokens=self.settings.max_tokens, bf16=bf16)

    def number(self, batch: ProblemBatch) -> NDArray[np.int64]:
        """The number of each problem, (num_problems,): the same for the same statements in all slices, running by first appearance."""
        stated = repack_fields(batch.records[STATED])
        return np.array([self.seen.setdefault(row.tobytes(), len(self.seen)) for row in stated], np.int64)

    def look_ahead(self, written: _Written) -> Outlook:
        """Ask nece about every candidate at the end of the question: for figure 8 (a) and the predictor."""
        settings, batch = self.settings, written.batch
        queries = list_queries(batch, QuerySettings(family=settings.family, task="nece", candidates=settings.candidates))
        prediction, score = self.ask("nece", batch, queries, GoldDocuments(batch, self.table, settings.family.format))
        problem, parameter = queries["problem"].to_numpy(), queries["parameter"].to_numpy()
        unnecessary = find_unnecessary(batch, written.verdicts, written.texts)
        pairs = {problem_row * 256 + code for problem_row, codes in unnecessary.items() for code in codes}
        event = np.isin(problem.astype(np.int64) * 256 + parameter, list(pairs))
        inside = np.isin(problem, list(unnecessary))
        label = queries["label"].to_numpy().astype(np.int64)
        asking = Asking(problem[inside], parameter[inside], np.full(inside.sum(), NOTHING), np.zeros(inside.sum(), np.int64))
        group = match_groups(analyse(batch.records), asking)
        chosen = (written.number[problem[inside]], event[inside], label[inside], prediction[inside].astype(np.int64), group)
        self.answers.append(Answers("a", "nece", written.part, len(unnecessary), *chosen))
        self._keep_events("a", written.part, queries, event, prediction, score)
        verdicts = written.verdicts.sort_by("problem")
        rows = verdicts["problem"].to_numpy()
        correct, extra = (verdicts[name].to_numpy(zero_copy_only=False) for name in ("correct", "unnecessary_parameters"))
        prompts = GoldDocuments(batch, self.table, settings.family.format).take(np.arange(len(batch))).prompt_ends
        return Outlook(
            probes=probe_features(problem, score, len(batch))[rows],
            candidates=np.bincount(problem, minlength=len(batch))[rows].astype(np.float64),
            op=batch.records["op"][rows].astype(np.float64),
            length=prompts[rows].astype(np.float64),
            fold=draw_folds(len(batch), settings.num_folds, settings.seed)[rows],
            problem=written.number[rows],
            wrong=~correct.astype(bool),
            redundant=correct.astype(bool) & (extra > 0),
        )

    def look_back(self, written: _Written) -> None:
        """Ask can_next and nece_next about every candidate at the sentence of the first wrong parameter: for figure 8 (b)."""
        mistakes = find_mistakes(written.batch, written.verdicts, written.texts)
        wrong = len(written.verdicts) - int(written.verdicts["correct"].to_numpy(zero_copy_only=False).sum())
        for task in MISTAKE_TASKS:
            if task in self.probes:
                queries, event, group = mistake_queries(written.batch, mistakes, task, self.settings.candidates)
                prediction, score = self.ask(task, written.batch, queries, written.documents)
                problem, label = (queries[name].to_numpy().astype(np.int64) for name in ("problem", "label"))
                self.answers.append(
                    Answers("b", task, written.part, wrong, written.number[problem], event, label, prediction.astype(np.int64), group)
                )
                self._keep_events("b", written.part, queries, event, prediction, score)

    def _keep_events(
        self, figure: str, part: str, queries: pa.Table, event: NDArray[np.bool_], prediction: NDArray[np.int16], score: NDArray[np.float32]
    ) -> None:
        kept = queries.filter(pa.array(event))
        columns = [[figure] * len(kept), kept["task"], [part] * len(kept), kept["problem"], kept["position"], kept["parameter"]]
        self.events.append(pa.table([*columns, prediction[event], score[event]], schema=EVENTS_TABLE.schema()))
