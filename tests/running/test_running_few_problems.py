"""Small is allowed: whatever the sizes of an honest experiment, no blocking check stops it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reference.few_problems import failures, few_problems, write_few

from igsm_pipeline.errors import BadSettings
from igsm_pipeline.experiments import find_member
from igsm_pipeline.planning.flow import STAGES
from igsm_pipeline.planning.planner import plan
from igsm_pipeline.planning.preflight import check_plan
from igsm_pipeline.queries.tasks import ALL_TASKS
from igsm_pipeline.store import Store

NUMBERS = (1, 8, 32)
CANDIDATES = ("graph", "existing", "text", "all")
SLICES = st.lists(st.sampled_from(["op<=max", "op=max", "op=max+1", "reask", "by_op"]), min_size=1, unique=True)
TINIEST = {"op_max": 1, "ip_max": 2, "modulus": 2}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IGSM_HOME", str(tmp_path))
    monkeypatch.delenv("IGSM_EXPERIMENTS", raising=False)
    return tmp_path


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("family", [{}, TINIEST, {"op_law": "uniform", "split_by": "template"}], ids=["light", "tiniest", "by template"])
def test_the_data_stages_of_few_problems_pass_every_check(home: Path, number: int, family: dict[str, Any]) -> None:
    assert failures(home, few_problems(number, **family)) == []


def test_slices_of_fewer_problems_than_a_check_looks_at_may_be_asked_about_in_part(home: Path) -> None:
    experiment = few_problems(64)
    experiment["probes"]["slice_problems"] = 32
    assert failures(home, experiment) == []


@st.composite
def tiny(draw: st.DrawFn) -> dict[str, Any]:
    """Any small experiment that the settings allow."""
    op_max = draw(st.integers(1, 6))
    family = {
        "op_max": op_max,
        "ip_max": draw(st.integers(max(2, op_max), 9)),
        "modulus": draw(st.sampled_from([2, 3, 5, 23])),
        "op_law": draw(st.sampled_from(["light", "uniform"])),
        "format": draw(st.sampled_from(["pq", "qp"])),
    }
    experiment = few_problems(1, **family)
    number = st.integers(1, 40)
    experiment["shards"] |= {"num_problems": draw(number), "window": 512, "alignment": draw(st.sampled_from(["aligned", "best_fit", "single"]))}
    experiment["evaluation"] |= {"num_problems": draw(number), "problems_per_op": draw(st.integers(1, 5)), "monitor_per_op": draw(st.integers(1, 5))}
    probed = draw(number)
    experiment["probes"] |= {
        "num_problems": probed,
        "slice_problems": draw(st.none() | number),
        "tasks": draw(st.lists(st.sampled_from(ALL_TASKS), min_size=1, unique=True)),
        "candidates": draw(st.sampled_from(CANDIDATES)),  # of the parameters of one problem's graph, all queries may have one answer
        "per_problem": draw(st.integers(1, 12)),  # one query of one problem has one answer
        "held_out": draw(st.integers(0, probed // 2)),
        "seed": draw(st.integers(0, 99)),
    }
    experiment["steering"] = {"problems": draw(number) if "nece" in experiment["probes"]["tasks"] else 0}
    return experiment


@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(experiment=tiny())
def test_the_data_stages_of_any_small_experiment_pass_every_check(
    experiment: dict[str, Any], tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("few")
    with monkeypatch.context() as patch:
        patch.setenv("IGSM_HOME", str(folder))
        patch.delenv("IGSM_EXPERIMENTS", raising=False)
        assert failures(folder, experiment) == []


@st.composite
def tiny_and_odd(draw: st.DrawFn) -> dict[str, Any]:
    """Any small experiment, among them those into whose window or number of tokens nothing fits."""
    experiment = draw(tiny())
    experiment["shards"]["window"] = draw(st.sampled_from([8, 64, 512]))
    experiment["evaluation"] |= {"max_tokens": draw(st.sampled_from([8, 64, 512])), "slices": draw(SLICES)}
    experiment["probes"]["slices"] = draw(SLICES)
    experiment["probes"]["layers"] = [1] if "nece" in experiment["probes"]["tasks"] and draw(st.booleans()) else []
    return experiment


@pytest.mark.slow
@settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(experiment=tiny_and_odd())
def test_any_small_experiment_comes_to_its_end_or_is_refused_before_anything_is_computed(
    experiment: dict[str, Any], tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("odd")
    with monkeypatch.context() as patch:
        patch.setenv("IGSM_HOME", str(folder))
        patch.delenv("IGSM_EXPERIMENTS", raising=False)
        write_few(folder, experiment)
        refusal = ""
        try:
            check_plan(plan(find_member("few"), Store.at_home()), Store.at_home())
        except BadSettings as refused:
            refusal = str(refused)
        if refusal:
            assert any(f": {section}." in refusal for section in experiment), "a refusal names the field"
        else:
            assert failures(folder, experiment, tuple(STAGES)) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", NUMBERS)
def test_every_stage_of_few_problems_comes_to_its_end_and_passes_its_blocking_checks(home: Path, number: int) -> None:
    assert failures(home, few_problems(number), tuple(STAGES)) == []
