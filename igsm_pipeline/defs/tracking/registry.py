"""The model registry: it keeps an experiment's models and decides which one is the champion.

Each experiment has one registered model (``gpt2-rotary-mini``), with a version per checkpoint. A version has tags for its fingerprint, its test
accuracy and the test set; its run has tables of its verdicts. The alias ``champion`` moves only if the interval of the new accuracy is above the
old one's, on the same test set.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from igsm_pipeline.defs.tracking.notes import TEST_SLICE, judged_unit, registered_name, registration_note
from igsm_pipeline.defs.tracking.runs import Tracking, git_revision, read_note
from igsm_pipeline.experiments import Member, find_member
from igsm_pipeline.intervals.interval import Interval
from igsm_pipeline.intervals.share import share
from igsm_pipeline.planning.flow import units_of
from igsm_pipeline.store import Store, Unit, library_versions, write_atomically

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

CHAMPION = "champion"


@dataclass(frozen=True)
class Score:
    """Accuracy on a test set.

    Attributes:
        test_set: fingerprint of the problem set.
        correct: share of fully correct solutions.
    """

    test_set: str
    correct: Interval

    def values(self) -> dict[str, Any]:
        """The score as plain values."""
        return {"test_set": self.test_set, "n": self.correct.n, **self.correct.columns("accuracy", "")}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Score:
        """The score from such values; numbers may be strings, as in MLflow's tags."""
        value, low, high = (float(values[name]) for name in ("accuracy", "low", "high"))
        return cls(values["test_set"], Interval(value, low, high, int(values["n"])))

    def tags(self) -> dict[str, str]:
        """The score as tags of a model version."""
        return {f"igsm.{name}": str(value) for name, value in self.values().items()}

    @classmethod
    def of_tags(cls, tags: Mapping[str, str]) -> Score | None:
        """The score in the tags of a model version; None if there is none."""
        return cls.of({name.removeprefix("igsm."): value for name, value in tags.items()}) if "igsm.test_set" in tags else None

    def beats(self, other: Score) -> bool:
        """Whether this score is better beyond doubt: the test set is the same, and the intervals do not touch."""
        return self.test_set == other.test_set and self.correct.low > other.correct.high


@dataclass(frozen=True)
class Registration:
    """The registry's entry of a checkpoint.

    Attributes:
        name: the registered model.
        version: its version.
        fingerprint: fingerprint of the checkpoint.
        content: hash of the checkpoint's files.
        champion: whether the alias points to this version now.
        why: the reason for that.
        score: test accuracy.
        run_id: the MLflow run.
        hit: whether it had been registered before.
    """

    name: str
    version: str
    fingerprint: str
    content: str
    champion: bool
    why: str
    score: Score
    run_id: str
    hit: bool = False


def register(tracking: Tracking, member: str) -> Registration | None:
    """Register a member's checkpoint, once per content and test set, and let it compete for the alias of its experiment.

    Args:
        tracking: the MLflow to use.
        member: key of the member.

    Returns:
        The entry; None if the member does not solve op<=max greedily, so that there is nothing by which its model could compete.

    Raises:
        StoreError: the verdicts cannot be read.
    """
    found, store = find_member(member), Store.at_home()
    units = units_of(found)
    checkpoint = next(unit for unit in units if unit.stage == "checkpoint")
    judged = judged_unit(units)
    if judged is None:
        return None
    score, manifest = score_of(judged, store), store.manifest(checkpoint)
    name, note = registered_name(found.experiment), registration_note(found.experiment, checkpoint, judged)
    if note.is_file():
        old = json.loads(note.read_text())
        known = Registration(**{**old, "score": Score.of(old["score"]), "hit": True})
        if known.content == manifest["content"] and known.score == score:
            holder = _champion(tracking.client(), name)
            return replace(known, champion=holder is not None and str(holder.version) == known.version)
    registration = _register(tracking, name, found, units, checkpoint, manifest, score, store)
    note.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(note, json.dumps({**asdict(registration), "score": score.values()}).encode())
    return registration


def score_of(judged: Unit, store: Store) -> Score:
    """Share of fully correct solutions in a unit of verdicts."""
    from igsm_pipeline.reports.findings import read_column  # noqa: PLC0415  (keeps the code location light)

    correct = read_column(store.path(judged), "verdicts", "correct")
    found = share(sum(correct), len(correct))
    rounded = Interval(round(found.value, 6), round(found.low, 6), round(found.high, 6), found.n)
    return Score(judged.inputs["problems"].fingerprint, rounded)


def _register(
    tracking: Tracking, name: str, member: Member, units: list[Unit], checkpoint: Unit, manifest: Mapping[str, Any], score: Score, store: Store
) -> Registration:
    import mlflow  # noqa: PLC0415

    client = tracking.client()
    note = read_note(checkpoint)
    if not note:
        with tracking.following(checkpoint, member.key, {}) as curves:
            note = {"run_id": curves.run_id}
    tags = {
        "igsm.fingerprint": checkpoint.fingerprint,
        "igsm.member": member.key,
        "igsm.git_revision": git_revision(),
        "igsm.tokens": str(manifest["counts"].get("tokens", "unknown")),
        "license": "MIT",
        **score.tags(),
    }
    solved = f"{score.correct.percent()} % of {score.correct.n:,} unseen problems of {TEST_SLICE} fully correct"
    words = f"{member.settings.title or member.key}; {solved}. MIT license."
    source = _log_model(note["run_id"], str(store.path(checkpoint)), f"# {name}\n\n{words}\n")
    version = mlflow.register_model(source, name, tags=tags)
    client.update_model_version(name, version.version, description=words)
    client.set_tag(note["run_id"], "igsm.registered_model", f"{name}/{version.version}")
    _log_verdicts(client, note["run_id"], str(version.version), units, store)
    wins, why = judge(score, _champion(client, name))
    if wins:
        client.set_registered_model_alias(name, CHAMPION, version.version)
    return Registration(name, str(version.version), checkpoint.fingerprint, manifest["content"], wins, why, score, note["run_id"])


def _champion(client: MlflowClient, name: str) -> ModelVersion | None:
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    try:
        return client.get_model_version_by_alias(name, CHAMPION)
    except MlflowException:
        return None


def judge(score: Score, champion: Any) -> tuple[bool, str]:
    """Decide whether a new version takes the alias from the champion (a model version, or None), and why."""
    if champion is None:
        return True, "first of its experiment"
    old = Score.of_tags(champion.tags)
    if old is None:
        return True, f"version {champion.version} was never measured"
    if score.beats(old):
        return True, f"better than version {champion.version} beyond doubt"
    if old.test_set != score.test_set:
        return False, f"version {champion.version} was measured on another test set"
    return False, f"not better than version {champion.version} beyond doubt"


def _log_verdicts(client: MlflowClient, run_id: str, version: str, units: list[Unit], store: Store) -> None:
    """Two tables for MLflow's page of the run: accuracy by slice and op with n and intervals, and first errors by slice."""
    from igsm_pipeline.reports.findings import finished_verdicts  # noqa: PLC0415  (as above)
    from igsm_pipeline.reports.paper_rows import accuracy_by_op, accuracy_rows, errors_by_slice  # noqa: PLC0415

    verdicts = finished_verdicts(units, store)
    rows = [*accuracy_rows(verdicts), *accuracy_by_op(verdicts)]
    accuracy = {
        "slice": [row.slice for row in rows],
        "op": ["all" if row.op is None else str(row.op) for row in rows],
        "beams": [row.beams for row in rows],
        "n": [row.n for row in rows],
        "accuracy": [row.correct.value for row in rows],
        "low": [row.correct.low for row in rows],
        "high": [row.correct.high for row in rows],
        "final_answer": [row.answer.value for row in rows],
        "unfinished": [row.unfinished.value for row in rows],
    }
    client.log_table(run_id, accuracy, f"verdicts/accuracy-version-{version}.json")
    errors = [(part, error, count) for part, kinds in errors_by_slice(verdicts).items() for error, count in kinds.items()]
    if errors:
        columns = dict(zip(("slice", "error", "solutions"), map(list, zip(*errors, strict=True)), strict=True))
        client.log_table(run_id, columns, f"verdicts/errors-version-{version}.json")


def _log_model(run_id: str, folder: str, card: str) -> str:
    """Copy a checkpoint into an MLflow run, with a card in Markdown; returns the model's address.

    Without a card MLflow asks the Hugging Face Hub for that of a model with the folder's name, and warns that there is none.
    """
    import mlflow  # noqa: PLC0415
    from huggingface_hub import ModelCard, ModelCardData  # noqa: PLC0415
    from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: PLC0415

    from igsm_pipeline.model.gpt2_rotary import legacy_keys  # noqa: PLC0415

    model = AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True, local_files_only=True, trust_remote_code=False)
    for name, value in legacy_keys(model.config.to_dict()).items():  # MLflow writes the configuration itself
        setattr(model.config, name, value)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    libraries = library_versions()
    with mlflow.start_run(run_id=run_id):
        info = mlflow.transformers.log_model(
            {"model": model, "tokenizer": tokenizer},
            name="model",
            task="text-generation",
            model_card=ModelCard(f"---\n{ModelCardData(license='mit', library_name='transformers').to_yaml()}\n---\n{card}"),
            pip_requirements=[f"{name}=={libraries[name]}" for name in ("torch", "transformers", "safetensors") if name in libraries],
        )
    return str(info.model_uri)
