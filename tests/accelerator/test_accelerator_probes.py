"""Probes in bfloat16 say what probes in fp32 say, and an experiment can ask for them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from igsm_pipeline.activations.forward import freeze
from igsm_pipeline.experiments import find_member
from igsm_pipeline.model.gpt2_rotary import build, load
from igsm_pipeline.model.settings import ModelSettings
from igsm_pipeline.planning.estimates import estimate
from igsm_pipeline.planning.flow import units_of
from igsm_pipeline.planning.speeds import H100
from igsm_pipeline.probes.settings import VProbeSettings
from igsm_pipeline.probes.v_probe import computes_bf16, load_probe, predict
from igsm_pipeline.probes.v_training import train_v_probe
from igsm_pipeline.problems import FamilySettings, ProblemSetSettings, generate_block
from igsm_pipeline.queries.documents import GoldDocuments
from igsm_pipeline.queries.draw import draw_queries
from igsm_pipeline.queries.sequences import QueryTokens
from igsm_pipeline.queries.settings import QuerySettings
from igsm_pipeline.queries.tasks import TaskName
from igsm_pipeline.store import Store
from igsm_pipeline.tokens import TokenSettings, build_table
from igsm_pipeline.world import load_world

CPU, GPU = torch.device("cpu"), torch.device("cuda")
SMALL = Path(__file__).parents[2] / "data" / "published" / "small"
FAMILY = FamilySettings(op_max=6, ip_max=6, modulus=5, num_symbols=10, format="qp", op_law="uniform", split_by="problem")
TOKENS = TokenSettings(segmentation="phrase")
HALF_A_POINT = 0.005


@lru_cache
def published() -> PreTrainedModel:
    torch.set_num_threads(1)
    return freeze(load(SMALL))


def asked(task: TaskName, number: int, seed: int) -> QueryTokens:
    world = load_world("mini")
    batch = generate_block(ProblemSetSettings(family=FAMILY, num_problems=number, block_size=number, seed=seed, split="test"), world, 0)
    (queries,) = draw_queries(batch, QuerySettings(family=FAMILY, task=task, per_problem=20))
    table = build_table(world, FAMILY.modulus, TOKENS)
    return QueryTokens(batch, queries, GoldDocuments(batch, table, FAMILY.format), table)


@pytest.mark.parametrize("task", ["nece", "value"])
def test_published_probes_say_in_bf16_what_they_say_in_fp32(task: TaskName) -> None:
    tokens, probe = asked(task, 60, 11), load_probe(SMALL / "probes" / f"{task}-trained")
    right = {bf16: predict(probe, published(), tokens, device=CPU, max_tokens=8192, bf16=bf16)[0] == tokens.label for bf16 in (False, True)}
    assert len(tokens) > 600
    assert abs(right[True].mean() - right[False].mean()) <= HALF_A_POINT
    assert right[False].mean() > 0.85, "both are right for the same reason"


def test_a_probe_learns_in_bf16_what_it_learns_in_fp32(tmp_path: Path) -> None:
    seen, losses = asked("known", 24, 12), {}
    for precision in ("fp32", "bf16"):
        model = freeze(build(ModelSettings(layers=2, heads=2, head_width=16), seen.table.size, 512, seed=1))
        values = {"family": FAMILY, "tokens": TOKENS, "task": "known", "num_steps": 24, "batch_problems": 4, "learning_rate": 0.02}
        settings = VProbeSettings.parse({**values, "precision": precision}, "test")
        losses[precision] = train_v_probe(settings, model, seen, num_classes=2, folder=tmp_path, device=CPU, label=precision).losses
    assert not np.array_equal(losses["bf16"], losses["fp32"]), "the precision is obeyed"
    assert np.abs(losses["bf16"] - losses["fp32"]).max() < 0.02
    assert losses["fp32"][-6:].mean() < losses["fp32"][:6].mean() - 0.02, "it learns"


def test_auto_is_bf16_on_a_gpu_and_fp32_on_a_processor() -> None:
    found = {(precision, device.type): computes_bf16(precision, device) for precision in ("fp32", "bf16", "auto") for device in (CPU, GPU)}
    assert [pair for pair, bf16 in found.items() if bf16] == [("bf16", "cpu"), ("bf16", "cuda"), ("auto", "cuda")]


def test_an_experiment_chooses_the_precision_and_the_default_leaves_units_fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IGSM_HOME", str(tmp_path))
    (tmp_path / "experiments").mkdir()
    names = {"fp32": "probes: {precision: fp32}", "auto": "probes: {precision: auto}", "none": "title: nothing said"}
    for name, line in names.items():
        (tmp_path / "experiments" / f"{name}.yaml").write_text(f"base: mini\n{line}\n")
    prints, hours = {}, {}
    for name in (*names, "med_pq"):
        chosen = [unit for unit in units_of(find_member(name)) if unit.stage in ("v_probes", "probe_scores")]
        assert {unit.settings["precision"] for unit in chosen} == {"auto" if name in ("auto", "med_pq") else "fp32"}
        prints[name] = {unit.fingerprint for unit in chosen}
        hours[name] = estimate(chosen, Store(tmp_path / "store"), H100).seconds
    assert prints["none"] == prints["fp32"]
    assert not prints["none"] & prints["auto"]
    assert hours["auto"] < hours["fp32"] / 3, "a plan for a GPU knows what auto is"
