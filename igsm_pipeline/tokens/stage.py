"""The stage ``token_shards``: the training set as windows of token ids."""

from __future__ import annotations

from igsm_pipeline.costs import problems_behind, tokens_per_problem
from igsm_pipeline.stage import Check, Column, Read, Stage, Table
from igsm_pipeline.store import Unit
from igsm_pipeline.tokens.settings import DrillSettings, ShardSettings


def _documents(unit: Unit) -> float:
    """Problems and drills."""
    return problems_behind(unit) / (1 - DrillSettings.model_validate(unit.settings.get("drills", {})).share)


STAGE = Stage(
    name="token_shards",
    version=1,
    settings=ShardSettings,
    write="igsm_pipeline.tokens.write:write_shards",
    group="data",
    kinds=("parquet", "huggingface"),
    words="The training set as windows of token ids, and the tokenizer that belongs to them.",
    reads=(Read("world"), Read("problems", "problem_sets")),
    tables=(
        Table(
            "windows",
            "one row per training window",
            "shard-*.parquet",
            (
                Column("tokens", "", "a window's token ids"),
                Column("length", "int32", "how many of a window's token ids are no padding"),
            ),
            view=False,
        ),
    ),
    checks=(
        Check("shard_ops", "Every shard holds the ops of the law.", "igsm_pipeline.tokens.checks:shard_ops"),
        Check("lengths", "Windows are filled, and no op level is dropped for its length.", "igsm_pipeline.tokens.checks:lengths", blocking=False),
    ),
    disk=lambda unit: tokens_per_problem(unit.settings) * _documents(unit),
    work=lambda unit: 4e-5 * _documents(unit),
    plots="igsm_pipeline.reports.stage_plots:token_shards",
    workers=True,
    yields=True,
)
