"""``igsm publish``: a member's model, probes, results and report as one folder that the Hugging Face Hub takes as it is.

    README.md, config.json, model.safetensors, tokenizer.json ...   the model, with its card
    control/            the same network with random weights
    probes/TASK-ARM/    V-probes: trained reads the model, random the control
    results/            tables as Parquet files, with a data-set card
    report.html         the report
    player.json         problems to watch, for `igsm play`
    world.json          the names in the problems
    manifest.json       settings, fingerprints, machine, seconds, and a SHA-256 of every file

Nothing is computed. Ours: the layout beside that of the Hub.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from igsm_pipeline.errors import BadSettings, NotFound
from igsm_pipeline.experiments.experiment import Member
from igsm_pipeline.planning.flow import STAGES
from igsm_pipeline.planning.planner import Plan
from igsm_pipeline.planning.planner import plan as make_plan
from igsm_pipeline.player.files import RECORDED
from igsm_pipeline.probes.stage import METRICS
from igsm_pipeline.probes.v_probe import DESCRIPTION, WEIGHTS
from igsm_pipeline.problems.files import write_parquet
from igsm_pipeline.processes.pools import usable_cores
from igsm_pipeline.reports.findings import finished_verdicts
from igsm_pipeline.stage import Table
from igsm_pipeline.store import Store, Unit, half_written, hash_file, library_versions, write_atomically
from igsm_pipeline.store.origin import code_origin, processor_name
from igsm_pipeline.toolbox.completions import end_of_text, load_tokenizer
from igsm_pipeline.toolbox.model_card import Facts, card_text, results_card
from igsm_pipeline.toolbox.prompt_form import write_prompt_form
from igsm_pipeline.toolbox.published import (
    CONTROL,
    FORMAT,
    KIND,
    PROBES,
    PROVENANCE,
    REPORT,
    RESULTS,
    TRAINED_AS,
    Published,
    is_published,
    published_member,
    read_published,
    trained_before,
)
from igsm_pipeline.toolbox.solving import draw_problem_text
from igsm_pipeline.verification.stage import VERDICTS
from igsm_pipeline.world.world import WORLD_FILE

CARD = "README.md"
MODEL_FILES = ("config.json", "generation_config.json", "*.safetensors", "*.safetensors.index.json", "*token*.json", "vocab.json", "merges.txt")
NEEDED = (
    "world", "checkpoint", "verdicts", "control", "v_probes", "probe_scores", "probe_controls", "error_correlation", "interchange", "llm_evaluations",
    "steering", "erasure", "emergence", "regret", "report",
)  # fmt: skip
"""Stages whose units are published; earlier stages are not."""
_FROM_LABEL = re.compile(r"(?:CAST\()?u\.labels->>'(\w+)'(?: AS \w+\))?")
"""The form in which a table declares a column from a unit's label."""


@dataclass(frozen=True)
class Publication:
    """The result of ``publish``.

    Attributes:
        folder: the published folder.
        bytes: size of all its files.
        missing: parts of the member that are not in it, and why.
    """

    folder: Path
    bytes: int
    missing: tuple[str, ...]


def publish(member: Member, store: Store, out: Path) -> Publication:
    """Write a member's model and all its results into one folder.

    A folder that was published before is updated: files that are no longer published are removed, and other people's files stay.

    Args:
        member: the member.
        store: the store of its units.
        out: the folder to write.

    Raises:
        BadSettings: ``out`` exists and is no published folder, or that of another member, or cannot be written.
        NotFound: the member has no finished checkpoint, or no finished verdicts.
    """
    check_out(out)
    check_owner(member, out)
    plan = make_plan(member, store)
    done = [unit for unit, state in zip(plan.units, plan.freshness, strict=True) if state.fresh]
    for stage in ("checkpoint", "verdicts"):
        if not any(unit.stage == stage for unit in done):
            raise NotFound(f"no finished {stage} of {member.key} to publish: make them with `igsm run {member.key} --stage {stage}`")
    missing = missing_parts(plan)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name[:100]}.{os.getpid()}.tmp")
    shutil.rmtree(partial, ignore_errors=True)
    with half_written(partial):
        partial.mkdir()
        _write_parts(member, store, done, missing, partial)
        files = {name: partial / name for name in _names_below(partial)}
        size = sum(path.stat().st_size for path in files.values())
        _move_into(partial, out)
    return Publication(out, size, missing)


def card_of(member: Member, store: Store) -> str:
    """The model card of a member as Markdown, as ``publish`` writes it.

    Raises:
        NotFound: the member has no finished checkpoint.
    """
    plan = make_plan(member, store)
    done = [unit for unit, state in zip(plan.units, plan.freshness, strict=True) if state.fresh]
    if not any(unit.stage == "checkpoint" for unit in done):
        raise NotFound(f"no finished checkpoint of {member.key} to describe: make it with `igsm run {member.key} --stage checkpoint`")
    return card_text(_facts(member, store, done, missing_parts(plan), rows_of(METRICS, done, store)))


def check_out(out: Path) -> None:
    """Refuse a place that has something else in it, or where nothing can be written.

    Raises:
        BadSettings: the place is refused.
    """
    if (out.exists() or out.is_symlink()) and not is_published(out):
        raise BadSettings("--out", "must be a folder that does not exist yet, or one that was published before", str(out), "name another")
    there = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise BadSettings("--out", "must lie where folders can be made", str(out), f"look at {there}, or name another place")


def check_owner(member: Member, out: Path) -> None:
    """Refuse a folder that another member published, unless it is the model that this member asks.

    Raises:
        BadSettings: what was published there would be lost.
    """
    held, own = published_member(out), member.settings.model.path
    if held not in (None, member.key) and (own is None or Path(own).resolve() != out.resolve()):
        raise BadSettings("--out", f"must be a new folder, or one of {member.key}", f"{out}, which holds {held}", "name another, or remove that one")


def missing_parts(plan: Plan) -> tuple[str, ...]:
    """The parts that a member lacks if it is published now, each with the reason, in the order of the data flow."""
    return tuple(
        f"{unit.stage if unit.name == unit.stage else f'{unit.stage} {unit.name}'}: {'; '.join(state.reasons)}"
        for unit, state in zip(plan.units, plan.freshness, strict=True)
        if unit.stage in NEEDED and not state.fresh
    )


def gather_table(table: Table, parts: Iterable[tuple[Mapping[str, Any], Path]]) -> pa.Table | None:
    """Join the rows of one declared table from several unit folders: first the columns that name the unit, then those of the files.

    Args:
        table: the declaration.
        parts: labels (slice, beams, ...) and folder of each unit. Columns that the declaration derives from a label come first. A label replaces a
            column of its name, since two experiments may share a folder and name it differently.

    Returns:
        The rows; None if no folder has such a file.
    """
    declared = [column.name for column in table.columns if column.stored]
    derived = {column.name: match[1] for column in table.columns if not column.stored and (match := _FROM_LABEL.fullmatch(column.sql))}
    found = []
    for labels, folder in parts:
        for path in sorted(folder.glob(table.files)):
            read = pq.read_table(path, partitioning=None)
            said = {name: labels.get(label) for name, label in derived.items()} | {name: labels[name] for name in declared if name in labels}
            columns = {name: pa.array([value] * len(read)) for name, value in said.items()}
            columns |= {name: read[name] for name in declared if name in read.column_names and name not in columns}
            found.append(pa.table(columns))
    return pa.concat_tables(found, promote_options="permissive") if found else None


def _write_parts(member: Member, store: Store, done: Sequence[Unit], missing: tuple[str, ...], folder: Path) -> None:
    """Write all parts of a published folder, the manifest last."""
    by_stage: dict[str, list[Unit]] = {}
    for unit in done:
        by_stage.setdefault(unit.stage, []).append(unit)
    checkpoint = by_stage["checkpoint"][0]
    _copy(store.path(checkpoint), MODEL_FILES, folder)
    if member.settings.tokens.segmentation != "checkpoint":
        write_prompt_form(folder, member.settings.evaluation.max_tokens)
    for unit in by_stage.get("control", []):
        _copy(store.path(unit), MODEL_FILES, folder / CONTROL)
    for unit in by_stage.get("v_probes", []):
        _copy(store.path(unit), (DESCRIPTION, WEIGHTS), folder / PROBES / re.sub(r"[^A-Za-z0-9_.=]+", "-", unit.name))
    for unit in by_stage.get("report", []):
        _copy(store.path(unit), (REPORT, RECORDED), folder)
    _copy(store.path(by_stage["world"][0]), (WORLD_FILE,), folder)
    facts = _facts(member, store, done, missing, rows_of(METRICS, by_stage.get("probe_scores", []), store))
    tables = []
    for table, units in _result_tables(by_stage):
        gathered = gather_table(table, [(unit.labels, store.path(unit)) for unit in units])
        if gathered is not None:
            (folder / RESULTS).mkdir(exist_ok=True)
            write_parquet(gathered, folder / RESULTS / f"{table.name}.parquet")
            tables.append((table, gathered.column_names, len(gathered)))
    write_atomically(folder / RESULTS / CARD, results_card(facts, tables).encode())
    write_atomically(folder / CARD, card_text(facts).encode())
    files = {name: {"bytes": (folder / name).stat().st_size, "sha256": hash_file(folder / name)} for name in _names_below(folder)}
    said = {"kind": KIND, "format": FORMAT, **provenance_of(member, store, done), "missing": list(missing), "files": files}
    write_atomically(folder / PROVENANCE, (json.dumps(said, indent=1) + "\n").encode())


def _result_tables(by_stage: Mapping[str, Sequence[Unit]]) -> list[tuple[Table, Sequence[Unit]]]:
    """The verdicts, and every table that a stage declares as a result."""
    return [
        (table, by_stage[stage.name])
        for stage in STAGES.values()
        for table in stage.tables
        if stage.name in by_stage and (table.result or table is VERDICTS)
    ]


def rows_of(table: Table, units: Sequence[Unit], store: Store) -> list[dict[str, Any]]:
    """The rows of one declared table in the units of the stage that writes it, with the columns that name each unit."""
    units = [unit for unit in units if table in STAGES[unit.stage].tables]
    gathered = gather_table(table, [(unit.labels, store.path(unit)) for unit in units])
    return [] if gathered is None else gathered.to_pylist()


def _facts(member: Member, store: Store, done: Sequence[Unit], missing: tuple[str, ...], scores: list[dict[str, Any]]) -> Facts:
    """The facts that the card is written from."""
    settings, checkpoint = member.settings, next(unit for unit in done if unit.stage == "checkpoint")
    counts = store.manifest(checkpoint)["counts"]
    world, provenance = settings.world.load(), provenance_of(member, store, done)
    end, name = end_of_text(load_tokenizer(store.path(checkpoint))), settings.world.source
    problem = draw_problem_text(settings.family, world, min(2, settings.family.op_max), 0)
    return Facts(
        name=member.key,
        title=settings.title.rstrip("."),
        settings=provenance["settings"],
        world=f"{Path(name).name} ({world.content_hash[:12]})",
        parameters=int(counts["parameters"]),
        counts=counts,
        seconds=provenance["seconds"],
        made_with=_made_with(provenance),
        problem=problem,
        end=end,
        verdicts=finished_verdicts(done, store),
        scores=scores,
        missing=missing,
        trained_as=provenance.get(TRAINED_AS),
    )


def provenance_of(member: Member, store: Store, done: Sequence[Unit]) -> dict[str, Any]:
    """Where the results come from, as JSON values; with the training of a model that had been published before (``TRAINED_AS``)."""
    path = member.settings.model.path
    before = None if path is None else trained_before(Path(path))
    units, seconds, machines = {}, dict[str, float](), []
    for unit in done:
        manifest = store.manifest(unit)
        kept = {name: manifest[name] for name in ("content", "version", "seconds", "finished")}
        if unit.stage == "checkpoint":
            kept["counts"] = {name: manifest["counts"][name] for name in ("parameters", "steps", "tokens") if name in manifest["counts"]}
        units[f"{unit.stage}/{unit.name}"] = {"fingerprint": unit.fingerprint, **kept}
        seconds[unit.stage] = round(seconds.get(unit.stage, 0.0) + manifest["seconds"], 3)
        made_on = {**manifest.get("machine", {}), **manifest.get("libraries", {})}
        if made_on not in machines:
            machines.append(made_on)
    return {
        "member": member.key,
        "title": member.settings.title,
        "settings": json.loads(json.dumps(member.settings.canonical())),
        "labels": dict(member.labels),
        "made_on": machines,
        "published_with": {
            "igsm_pipeline": code_origin().get("version", "not installed"),
            "commit": code_origin()["commit"],
            "libraries": library_versions(),
            "processor": processor_name(),
            "cores": usable_cores(),
            "threads": os.environ.get("OMP_NUM_THREADS", str(usable_cores())),
        },
        "seconds": seconds,
        "units": units,
        **({} if before is None else {TRAINED_AS: before}),
    }


def _made_with(provenance: Mapping[str, Any]) -> dict[str, str]:
    """The lines of the card about software and machines."""
    by, made = provenance["published_with"], provenance["made_on"]
    return {
        "computed with": "; ".join(", ".join(f"{name} {value}" for name, value in one.items()) for one in made),
        "published with": f"igsm_pipeline {by['igsm_pipeline']}, commit {by['commit']}",
        "published on (the training may have run elsewhere)": f"{by['processor']}, {by['cores']} cores, {by['threads']} threads",
    }


def _copy(source: Path, patterns: Sequence[str], target: Path) -> None:
    """Copy the files of a unit that match, with the permissions of new files."""
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted({path for pattern in patterns for path in source.glob(pattern)}):
        shutil.copyfile(path, target / path.name)


def _names_below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _move_into(partial: Path, out: Path) -> None:
    """Move the finished folder to its place. A folder that was published before gets the new files and loses those that are no longer published.

    The manifest comes last, so that a half-updated folder is still recognised as published.
    """
    if not out.exists():
        partial.rename(out)
        return
    old, new = _listed(read_published(out)), _names_below(partial)
    for name in sorted(new, key=lambda one: one == PROVENANCE):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (partial / name).replace(out / name)
    for name in old - set(new):
        path = out / name
        if path.parent.resolve().is_relative_to(out.resolve()):
            path.unlink(missing_ok=True)
            with suppress(OSError):
                path.parent.rmdir()  # succeeds only if it is empty


def _listed(published: Published) -> set[str]:
    files = published.provenance.get("files")
    return set(files) if isinstance(files, dict) else set()
