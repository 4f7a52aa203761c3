"""The stage ``regret``: a probe of can_next is trained behind " Define A as", asked along the model's solutions, and then acted upon."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from tqdm import tqdm
from transformers import PreTrainedModel

from igsm_pipeline.activations.forward import freeze
from igsm_pipeline.correlation.written import WrittenDocuments
from igsm_pipeline.model.device import pick_device
from igsm_pipeline.model.gpt2_rotary import load
from igsm_pipeline.probes.files import LOSSES
from igsm_pipeline.probes.v_probe import VProbe, computes_bf16, load_probe, predict
from igsm_pipeline.probes.write_v_probe import train_into
from igsm_pipeline.problems import ProblemBatch, read_problems
from igsm_pipeline.problems.files import write_parquet
from igsm_pipeline.queries.documents import GoldDocuments
from igsm_pipeline.queries.draw import draw_queries
from igsm_pipeline.queries.sequences import QueryTokens, Wording
from igsm_pipeline.queries.settings import QuerySettings
from igsm_pipeline.regret.decoder import Marks, retry_upon_regret
from igsm_pipeline.regret.judges import ChanceJudge, Judge, ProbeJudge, TrueJudge
from igsm_pipeline.regret.settings import RegretSettings
from igsm_pipeline.regret.stage import REGRET, RETRIED, SOLVED
from igsm_pipeline.regret.tables import Arm, arm_rows, regret_rows
from igsm_pipeline.regret.written import ask_along
from igsm_pipeline.stage import folder_of, parts_of
from igsm_pipeline.store import Writing
from igsm_pipeline.tokens import TokenTable, build_table, emit
from igsm_pipeline.verification.token_path import TokenVerifier, joined
from igsm_pipeline.verification.write import verdict_table
from igsm_pipeline.world import load_world

TRAIN = "train"
"""The part of ``problems`` that the probe learns from."""
BEAMS = " beam "
"""Between a slice and a number of beams, in parts of ``verdicts``."""


def write_regret(settings: RegretSettings, inputs: Mapping[str, Path], writing: Writing) -> None:
    """Write probe.safetensors and probe.json, losses.parquet, regret.parquet, retry_upon_regret.parquet and retried_solutions.parquet.

    Args:
        settings: the probe, the slices and the tries.
        inputs: folders: ``world`` and ``checkpoint``; ``problems:train``, which the probe learns from; ``problems:SLICE``, ``generations:SLICE`` and
            ``verdicts:SLICE``, the model's greedy solutions; ``generations:SLICE beam N`` and ``verdicts:SLICE beam N``, where there are such.
        writing: where the files go. A half-trained probe in its folder is trained further.
    """
    run = _Run(settings, inputs)
    run.learn(writing.folder)
    told, retried, solved = list[dict[str, Any]](), list[dict[str, Any]](), list[dict[str, Any]]()
    how: dict[str, Any] = {"seed": settings.seed, "num_resamples": settings.num_resamples}
    for part in settings.slices:
        batch = read_problems(folder_of(inputs, "problems", part), run.world, settings.family.modulus).take(slice(settings.problems))
        told += [{"slice": part, **row} for row in run.ask(part, batch, how)]
        arms = run.solve(part, batch)
        retried += [{"slice": part, **row} for row in arm_rows(arms, **how)]
        solved += [{"slice": part, **row} for arm in arms for row in arm.solutions()]
    for table, rows in ((REGRET, told), (RETRIED, retried), (SOLVED, solved)):
        write_parquet(pa.Table.from_pylist(rows, schema=table.schema()), writing.folder / table.files)
    writing.counts.update(queries=sum(row["n"] for row in told if row["subset"] == "all"), solutions=len(solved))


class _Run:
    """The model, the probe, and what both need."""

    probe: VProbe

    def __init__(self, settings: RegretSettings, inputs: Mapping[str, Path]) -> None:
        self.settings, self.inputs, self.device = settings, inputs, pick_device(settings.device)
        self.world = load_world(inputs["world"])
        self.table: TokenTable = build_table(self.world, settings.family.modulus, settings.tokens, inputs["checkpoint"])
        self.model: PreTrainedModel = freeze(load(inputs["checkpoint"], device=self.device))
        self.bf16 = computes_bf16(settings.recipe.precision, torch.device(self.device))

    def learn(self, folder: Path) -> None:
        """Train the probe behind " Define A as" in the generator's solutions; a finished one of an earlier attempt is taken as it is."""
        if (folder / LOSSES).is_file():
            self.probe = load_probe(folder, self.device)
            return
        settings, family = self.settings, self.settings.family
        batch = read_problems(folder_of(self.inputs, "problems", TRAIN), self.world, family.modulus)
        asked = QuerySettings(family=family, task="can_next", per_problem=settings.per_problem, seed=settings.seed, stream="regret")
        queries = pa.concat_tables(draw_queries(batch, asked))
        documents = GoldDocuments(batch, self.table, family.format)
        tokens = QueryTokens(batch, queries, documents, self.table, Wording.own(self.table))
        self.probe = train_into(settings.recipe, self.model, tokens, folder, device=self.device, label="regret")

    def ask(self, part: str, batch: ProblemBatch, how: dict[str, Any]) -> list[dict[str, Any]]:
        """The rows of ``regret`` for a slice: the probe along the model's own solutions."""
        written = pq.read_table(folder_of(self.inputs, "generations", part) / "generations.parquet").slice(0, len(batch))
        asked = ask_along(batch, self._verdicts(part, len(batch)), written["solution"].to_pylist())
        completions = [np.array(ids, dtype=np.uint32) for ids in written["tokens"].to_pylist()]
        documents = WrittenDocuments(batch, completions, self.table, self.settings.family.format)
        tokens = QueryTokens(batch, asked.queries, documents, self.table, Wording.own(self.table))
        said, _ = predict(self.probe, self.model, tokens, device=self.device, max_tokens=self.settings.read_tokens, bf16=self.bf16)
        return list(regret_rows(asked, said, **how))

    def solve(self, part: str, batch: ProblemBatch) -> list[Arm]:
        """Every arm on the problems of a slice: greedy first, then the judges, then beams where they were run."""
        emitted = emit(batch, self.table, self.settings.family.format)
        prompts = [emitted.prompt(index) for index in range(len(batch))]
        lengths = np.array([len(prompt) for prompt in prompts])
        arms = [self._arm_of("greedy", 0, 1, part, lengths)]
        judges: dict[str, Judge] = {"probe": ProbeJudge(self.probe), "truth": TrueJudge(batch, self.table)}
        for decoder, judge in judges.items():
            before: Arm | None = None
            for tries in sorted(self.settings.tries):
                before = self._retried(decoder, tries, judge, batch, prompts, part, before)
                arms.append(before)
        by_probe = arms[1]
        rate = float(by_probe.retries.sum() / max(1, by_probe.asked.sum()))
        arms.append(self._retried("chance", by_probe.tries, ChanceJudge(rate, self.settings.seed), batch, prompts, part))
        for name in parts_of(self.inputs, "verdicts"):
            beams = name.removeprefix(f"{part}{BEAMS}")
            if name != beams:
                arms.append(self._arm_of("beam", int(beams), int(beams), name, lengths))
        return arms

    def _verdicts(self, name: str, number: int) -> pa.Table:
        return pq.read_table(folder_of(self.inputs, "verdicts", name) / "verdicts.parquet").slice(0, number)

    def _arm_of(self, decoder: str, tries: int, copies: int, name: str, lengths: np.ndarray[Any, np.dtype[np.int64]]) -> Arm:
        """An arm that other stages have written; of beams, as if each read the prompt and wrote as much as the solution."""
        verdicts, none = self._verdicts(name, len(lengths)), np.zeros(len(lengths), np.int64)
        read = copies * (lengths + np.maximum(0, verdicts["completion_tokens"].to_numpy().astype(np.int64) - 1))
        return Arm(decoder, tries, verdicts["correct"].to_numpy(zero_copy_only=False), verdicts["error"].to_pylist(), none, none, read)

    def _retried(self, decoder: str, tries: int, judge: Judge, batch: ProblemBatch, prompts: list[Any], part: str, before: Arm | None = None) -> Arm:
        """An arm; of one with more tries than ``before``, only what had used up its tries there is written again: the rest comes out the same."""
        rows = np.arange(len(batch)) if before is None else np.flatnonzero(before.retries >= before.tries)
        with tqdm(total=len(rows), desc=f"{part}, {decoder}, {tries} tries", unit="problem", mininterval=1.0) as bar:
            made = retry_upon_regret(
                self.model, [prompts[row] for row in rows], judge, Marks.of(self.table), tries=tries, max_length=self.settings.max_tokens,
                seed=self.settings.seed, numbers=rows.tolist(), progress=bar.update,
            )  # fmt: skip
        ids, offsets = joined(made.tokens)
        known = self.settings.tokens.segmentation != "checkpoint"
        texts = [self.table.decode_completion(one) for one in made.tokens]
        judged = verdict_table(TokenVerifier(batch, self.table if known else None).judge(ids, offsets, made.finished, rows, texts.__getitem__))
        correct = judged["correct"].to_numpy(zero_copy_only=False)
        fresh = Arm(decoder, tries, correct, judged["error"].to_pylist(), made.retries, made.asked, made.read)
        return fresh if before is None else before.renewed(rows, fresh)
