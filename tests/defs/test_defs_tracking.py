"""What training writes becomes curves and tags: per op and per watched slice, warnings too, each row once."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from igsm_pipeline.defs.tracking.addresses import MEMBERS, members_path
from igsm_pipeline.defs.tracking.final import data_sets, final_metrics
from igsm_pipeline.defs.tracking.members_view import tag_experiment
from igsm_pipeline.defs.tracking.runs import Curves, Tracking, metric_values
from igsm_pipeline.store import Store, Unit
from igsm_pipeline.training.curves import METRICS, MetricsLog

LOOK = {"step": 4, "accuracy": {"1": [3, 4], "12": [1, 4]}, "slices": {"op=max+1": [1, 2], "reask": [0, 2]}}


class Recording:
    """Takes what an MLflow client would be sent."""

    def __init__(self) -> None:
        self.metrics: list[tuple[str, float, int]] = []
        self.params: list[list[tuple[str, str]]] = []
        self.tags: dict[str, str] = {}

    def log_batch(self, run_id: str, metrics: Any = (), params: Any = (), tags: Any = ()) -> None:
        self.params.append([(one.key, one.value) for one in params])
        self.tags |= {one.key: one.value for one in tags}
        self.metrics += [(one.key, one.value, one.step) for one in metrics]

    def set_tag(self, run_id: str, name: str, value: str) -> None:
        self.tags[name] = value


def test_a_look_is_one_value_per_op_and_per_slice() -> None:
    assert dict(metric_values(LOOK)) == {"accuracy/op 01": 0.75, "accuracy/op 12": 0.25, "accuracy/op_max_1": 0.5, "accuracy/reask": 0.0}


def test_rows_are_sent_once_and_warnings_become_tags_even_when_they_come_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IGSM_HOME", str(tmp_path))
    unit = Unit("checkpoint", "checkpoint", 1, {})
    final = Store.at_home().path(unit)
    partial = final.with_name(final.name + ".partial")
    partial.mkdir(parents=True)
    client = Recording()
    curves = Curves(client, unit, "run", "0")  # type: ignore[arg-type]
    rows: list[dict[str, Any]] = [{"step": 4, "loss": 2.0}, LOOK]
    (partial / METRICS).write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert curves.push() == 5
    assert client.tags == {}
    rows.append({"step": 4, "warning": "accuracy stayed at 1% while the loss fell"})
    (partial / METRICS).write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert curves.push() == 0
    assert client.tags == {"igsm.warning.step 4": "accuracy stayed at 1% while the loss fell"}
    assert sorted(client.metrics)[-1] == ("loss", 2.0, 4)
    assert len(client.metrics) == 5


def test_rows_that_mlflow_did_not_take_are_sent_with_the_next_and_lines_are_parsed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IGSM_HOME", str(tmp_path))
    unit = Unit("checkpoint", "checkpoint", 1, {})
    final, client = Store.at_home().path(unit), Recording()
    partial = final.with_name(final.name + ".partial")
    partial.mkdir(parents=True)
    log = MetricsLog(partial, 0)
    curves, parsed, loads = Curves(client, unit, "run", "0"), list[bytes](), json.loads  # type: ignore[arg-type]
    monkeypatch.setattr("igsm_pipeline.training.curves.json.loads", lambda line: (parsed.append(line), loads(line))[1])
    log.append({"step": 1, "loss": 3.0, "tokens_per_s": 5.0})
    with monkeypatch.context() as patched:
        patched.setattr(client, "log_batch", lambda *_, **__: 1 / 0)
        curves.tick()
    assert not client.metrics
    log.append({"step": 2, "loss": 2.0, "tokens_per_s": 6.0})
    assert [curves.push(), curves.push()] == [4, 0]
    assert sorted(client.metrics) == [("loss", 2.0, 2), ("loss", 3.0, 1), ("tokens_per_s", 5.0, 1), ("tokens_per_s", 6.0, 2)]
    partial.rename(final)
    assert curves.push(finished=True) == 0
    assert len(parsed) == 4, "two rows and their pace"


def test_all_settings_are_sent_however_many_in_batches_that_mlflow_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IGSM_HOME", str(tmp_path))
    client, settings = Recording(), {f"setting {number}": number for number in range(250)}
    Curves(client, Unit("checkpoint", "checkpoint", 1, settings), "run", "0").describe({"member": "mine"})  # type: ignore[arg-type]
    assert [len(batch) for batch in client.params if batch] == [100, 100, 50]
    assert {name: int(value) for batch in client.params for name, value in batch} == settings
    assert client.tags == {"igsm.member": "mine"}


def test_final_metrics_are_the_numbers_of_the_store_by_names_that_sort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IGSM_HOME", str(tmp_path))
    store = Store.at_home()
    training = Unit("checkpoint", "checkpoint", 1, {})
    with store.write(training):
        pass
    verdicts = [
        {"slice": "op<=max", "beams": beams, "op": 2, "correct": right, "final_answer_correct": right, "finished": True, "error": None}
        | {"unnecessary_operations": 0, "unnecessary_parameters": extra}
        for beams, right, extra in ((1, True, 2), (1, True, 1), (1, False, 9), (1, True, 0), (4, True, 0))
    ]
    scores = [
        {
            "task": "nece",
            "slice": "op=max",
            "probe": probe,
            "subset": "all",
            "op": None,
            "chosen": None,
            "layer": None,
            "balanced_accuracy_gain": gain,
        }
        for probe, gain in (("v_probe", 0.25), ("random", None))
    ]
    monkeypatch.setattr("igsm_pipeline.reports.findings.finished_verdicts", lambda units, store: verdicts)
    monkeypatch.setattr("igsm_pipeline.toolbox.publishing.rows_of", lambda table, units, store: scores)
    found = dict(final_metrics([training], store))
    assert found.pop("final/training_seconds") >= 0
    assert found == {"final/op__max": 0.75, "final/redundancy op__max": 1.0, "final/gain nece op_max": 0.25}


def test_the_table_of_members_has_final_metrics_as_columns_and_its_tags_are_set_once() -> None:
    sent: dict[str, str] = {}
    client = SimpleNamespace(set_experiment_tag=lambda number, key, value: sent.update({key: value}))
    tag_experiment(client, SimpleNamespace(experiment_id="7", tags={"mlflow.experimentKind": "custom_model_development", "mine": "x"}))  # type: ignore[arg-type]
    view = json.loads(sent[f"mlflow.sharedViewState.{MEMBERS}"])
    assert "metrics.`final/op__max`" in view["selectedColumns"]
    assert "metrics.`final/gain nece op__max`" in view["selectedColumns"]
    assert view["orderByKey"] == "metrics.`final/op__max`"
    assert set(sent) == {"mlflow.note.content", f"mlflow.sharedViewState.{MEMBERS}"}
    known = {**sent, "mlflow.experimentKind": "custom_model_development"}
    sent.clear()
    tag_experiment(client, SimpleNamespace(experiment_id="7", tags=known))  # type: ignore[arg-type]
    assert sent == {}
    tag_experiment(client, SimpleNamespace(experiment_id="7", tags={**known, "mlflow.note.content": "words of one's own"}))  # type: ignore[arg-type]
    assert sent == {}
    assert members_path("7") == f"/#/experiments/7/runs?workflowType=machine_learning&viewStateShareKey={MEMBERS}"


@pytest.mark.slow
def test_a_run_names_its_data_sets_by_content_and_what_they_were_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IGSM_HOME", str(tmp_path))
    store = Store.at_home()
    units = [
        Unit("problem_sets", "train", 1, {"split": "train"}),
        Unit("problem_sets", "op=max", 1, {"split": "test"}),
        Unit("problem_sets", "probe_train", 1, {"split": "train"}),
        Unit("problem_sets", "reask", 1, {"split": "test"}),
    ]
    for unit in units[:3]:
        with store.write(unit) as writing:
            (writing.folder / "a.bin").write_text(unit.name)
            writing.counts["problems"] = 7
    tracking = Tracking()
    client = tracking.client()
    run = client.create_run(tracking.experiment_id(client)).info.run_id
    client.log_inputs(run, data_sets(units, store))
    known = {one.dataset.name: one for one in client.get_run(run).inputs.dataset_inputs}
    context = {name: one.tags[0].value for name, one in known.items()}
    assert context == {"problem_sets train": "training", "problem_sets op=max": "evaluation", "problem_sets probe_train": "probing"}
    for unit in units[:3]:
        one = known[f"problem_sets {unit.name}"].dataset
        assert store.manifest(unit)["content"].startswith(one.digest)
        assert json.loads(one.profile) == {"problems": 7}
