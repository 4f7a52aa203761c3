"""Experiments of few problems, and their stages run and judged one after another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from reference.inspect_logs import write_example

from igsm_pipeline.experiments import find_member
from igsm_pipeline.planning.flow import STAGES, units_of
from igsm_pipeline.running.judging import judge
from igsm_pipeline.running.runner import run_units
from igsm_pipeline.stage import StageUnits
from igsm_pipeline.store import Store

LOGS = "inspect logs"
"""A folder beside the experiment file."""
DATA_STAGES = ("world", "problem_sets", "token_shards", "probe_queries")


def few_problems(number: int, **family: Any) -> dict[str, Any]:
    """An experiment file: so many problems in every set, one training step each, a model of one small layer."""
    return {
        "world": {"source": "mini"},
        "family": {"op_max": 3, "ip_max": 4, "modulus": 5, "split_by": "problem"} | family,
        "tokens": {"segmentation": "phrase"},
        "shards": {"num_problems": number, "window": 256},
        "model": {"layers": 1, "heads": 1, "head_width": 8},
        "training": {"num_steps": 1, "batch_windows": 1, "warmup_steps": 0, "snapshots": 2},
        "evaluation": {
            **{"num_problems": number, "problems_per_op": number, "monitor_per_op": number, "max_tokens": 256},
            "slices": ["op<=max", "op=max", "reask", "by_op"],
        },
        "probes": {
            **{"num_problems": number, "num_steps": 1, "batch_problems": 1, "slice_problems": max(1, number // 2)},
            "slices": ["op<=max", "reask"],
        },
        "knowledge": {"controls": ["control_task", "no_layers", "permuted"], "candidate_sets": ["all", "graph"]},
        "interchange": {"pairs": number},
        "llm_evaluations": {"logs": LOGS},
        "steering": {"problems": number},
        "erasure": {"problems": number, "fit_problems": max(2, number), "layers": [0], "draws": 1},
        "emergence": {"problems_per_op": number, "num_steps": 1, "batch_problems": 1},
        "regret": {"problems": number, "tries": [2]},
    }


def write_few(home: Path, experiment: dict[str, Any]) -> None:
    """Give a data root the experiment ``few``, and the logs that it names if there are none."""
    (home / "experiments").mkdir(parents=True, exist_ok=True)
    if experiment.get("llm_evaluations") == {"logs": LOGS} and not (home / "experiments" / LOGS).exists():
        write_example(home / "experiments" / LOGS)
    (home / "experiments" / "few.yaml").write_text(yaml.safe_dump(experiment))


def failures(home: Path, experiment: dict[str, Any], stages: tuple[str, ...] = DATA_STAGES) -> list[str]:
    """Run some stages of an experiment in a data root of its own (``IGSM_HOME``); what its blocking checks find wrong."""
    write_few(home, experiment)
    member, store, wrong = find_member("few"), Store.at_home(), []
    for stage in stages:
        run_units(member, stage, store)
        units = tuple(unit for unit in units_of(member) if unit.stage == stage)
        for check, outcome in judge(StageUnits(STAGES[stage], store, units, dict.fromkeys(units, ("made",)))).items():
            if check.blocking and not outcome.passed:
                wrong.append(f"{stage} {check.name}: {outcome.message}")
    return wrong
