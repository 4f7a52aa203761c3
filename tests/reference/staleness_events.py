"""What can happen to a finished member, as edits of its files, and which stages each edit must make stale: written down, not computed."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from reference.inspect_logs import write_example

import igsm_pipeline
from igsm_pipeline.experiments import find_member
from igsm_pipeline.planning.flow import STAGES, units_of
from igsm_pipeline.stage import Stage
from igsm_pipeline.store import MANIFEST, Store, Unit

MEMBER = "toy"
TOY = """
title: as small as it gets
world: {source: mini}
family: {op_max: 2, ip_max: 4, modulus: 5, op_law: uniform, split_by: problem}
tokens: {segmentation: phrase}
shards: {num_problems: 128, window: 128}
model: {layers: 1, heads: 1, head_width: 16}
training: {num_steps: 2, batch_windows: 4, warmup_steps: 1, precision: fp32, accuracy_every_steps: 2, snapshots: 2}
evaluation: {slices: ["op<=max"], num_problems: 8, monitor_per_op: 4, max_tokens: 160}
probes: {tasks: [nece], slices: ["op<=max"], num_problems: 32, num_steps: 2, batch_problems: 8, per_problem: 4}
knowledge: {controls: [permuted]}
interchange: {pairs: 8}
llm_evaluations: {logs: inspect logs}
steering: {problems: 8}
erasure: {problems: 8, fit_problems: 16, layers: [0], draws: 1}
emergence: {problems_per_op: 4, num_steps: 2}
regret: {problems: 8, tries: [2]}
"""
TOY_STAGES = tuple(stage for stage in STAGES if stage != "own_problems")
"""The stages of the toy: all but the one of experiments that read their problems from a file."""
AFTER_TRAINING = (
    "checkpoint", "generations", "verdicts", "activation_cache", "linear_probes", "v_probes", "probe_scores", "probe_controls", "error_correlation",
    "interchange", "steering", "erasure", "emergence", "regret", "report",
)  # fmt: skip


@dataclass(frozen=True)
class Event:
    """One thing that happens.

    Attributes:
        name: as the documentation calls it.
        apply: does it to a data root; may return a folder that holds a changed copy of the package.
        stale: stages whose own units are stale by it, in order.
        waiting: stages that rest on those and stay fresh if these come out as before.
    """

    name: str
    apply: Callable[[Path], Path | None]
    stale: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()

    @property
    def seen(self) -> set[str]:
        return {*self.stale, *self.waiting}


def declare(home: Path, **changes: str) -> None:
    """Write the member's file, with some of its lines replaced or added."""
    lines = {line.split(":")[0]: line for line in TOY.strip().splitlines()}
    lines |= {section: f"{section}: {value}" for section, value in changes.items()}
    (home / "experiments").mkdir(parents=True, exist_ok=True)
    if not (home / "experiments" / "inspect logs").exists():
        write_example(home / "experiments" / "inspect logs")
    (home / "experiments" / f"{MEMBER}.yaml").write_text("\n".join(lines.values()) + "\n")


def unit_of(stage: str) -> Unit:
    return next(unit for unit in units_of(find_member(MEMBER)) if unit.stage == stage)


def first_file(home: Path, stage: str) -> Path:
    folder = Store(home / "store").path(unit_of(stage))
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != MANIFEST and path.name[0] != ".")
    return next((path for path in files if path.suffix == ".parquet"), files[0])


def changed(section: str, old: str, new: str) -> Callable[[Path], None]:
    def apply(home: Path) -> None:
        line = next(line for line in TOY.splitlines() if line.startswith(section + ":"))
        assert old in line
        declare(home, **{section: line.partition(": ")[2].replace(old, new)})

    return apply


def delete(stage: str) -> Callable[[Path], None]:
    return lambda home: first_file(home, stage).unlink()


def truncate(stage: str) -> Callable[[Path], None]:
    def apply(home: Path) -> None:
        path = first_file(home, stage)
        os.truncate(path, path.stat().st_size // 2)

    return apply


def alter(stage: str, *, keep_time: bool = False) -> Callable[[Path], None]:
    def apply(home: Path) -> None:
        path = first_file(home, stage)
        stat, data = path.stat(), bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        time = stat.st_mtime_ns if keep_time else stat.st_mtime_ns + 1_000_000_000
        os.utime(path, ns=(time, time))

    return apply


def rebuild_with_other_bytes(stage: str) -> Callable[[Path], None]:
    """The unit is written again, valid, with the same rows and other bytes, as a training on another GPU would leave it."""

    def apply(home: Path) -> None:
        import pyarrow.parquet as pq  # noqa: PLC0415

        store, unit, path = Store(home / "store"), unit_of(stage), first_file(home, stage)
        try:
            table = pq.read_table(path)
        except (OSError, ValueError):
            table = None  # stand-in content: no Parquet
        before = store.manifest(unit)["content"]
        with store.write(unit) as writing:
            writing.counts.update(store.manifest(unit)["counts"])
            if table is None:
                (writing.folder / path.name).write_text("other content")
            else:
                pq.write_table(table, writing.folder / path.name, compression="none")
        assert store.manifest(unit)["content"] != before

    return apply


def raise_version(stage: str, module: str) -> Callable[[Path], Path]:
    """A copy of the project in which a stage's VERSION is one higher (with its caches, so that nothing is compiled again)."""

    def apply(home: Path) -> Path:
        copy = home.parent / f"package with another {stage}"
        shutil.copytree(Path(igsm_pipeline.__file__).parent, copy / "igsm_pipeline")
        shutil.copy(Path(igsm_pipeline.__file__).parents[1] / "dagster.yaml", copy)
        path = copy / "igsm_pipeline" / module / "stage.py"
        text, found = re.subn(r"\n    version=(\d+),\n", lambda match: f"\n    version={int(match[1]) + 1},\n", path.read_text())
        assert found == 1
        path.write_text(text)
        return copy

    return apply


@contextlib.contextmanager
def version_raised(stage: Stage) -> Iterator[None]:
    """In this process, too, a stage's VERSION is one higher while the block runs: what a process sees that imports the changed declaration."""
    object.__setattr__(stage, "version", stage.version + 1)
    try:
        yield
    finally:
        object.__setattr__(stage, "version", stage.version - 1)


def change_and_restore(home: Path) -> None:
    changed("evaluation", "max_tokens: 160", "max_tokens: 150")(home)
    declare(home)


EVENTS = (
    Event("nothing", lambda home: None),
    Event("VERSION of verdicts raised", raise_version("verdicts", "verification"), ("verdicts", "error_correlation", "regret", "report")),
    Event("probe setting changed (per_problem)", changed("probes", "per_problem: 4", "per_problem: 3"),
          ("probe_queries", "activation_cache", "linear_probes", "v_probes", "text_probes", "probe_scores", "probe_controls", "error_correlation",
           "steering", "emergence", "regret", "report")),
    Event("new training seed", changed("training", "num_steps: 2,", "num_steps: 2, seed: 7,"), AFTER_TRAINING),
    Event("upstream setting changed (max_tokens of completions)", changed("evaluation", "max_tokens: 160", "max_tokens: 150"),
          ("generations", "verdicts", "error_correlation", "erasure", "emergence", "regret", "report")),
    Event("file deleted (verdicts)", delete("verdicts"), ("verdicts",), ("error_correlation", "regret", "report")),
    Event("Parquet file cut in half (probe_queries)", truncate("probe_queries"), ("probe_queries",),
          ("activation_cache", "linear_probes", "v_probes", "text_probes", "probe_scores", "probe_controls", "error_correlation",
           "steering", "emergence", "report")),
    Event("file altered, size kept (probe_scores)", alter("probe_scores"), ("probe_scores",), ("report",)),
    Event("input rebuilt with other content (generations)", rebuild_with_other_bytes("generations"),
          ("verdicts", "error_correlation", "regret", "report")),
    Event("old setting restored", change_and_restore),
)  # fmt: skip
SILENT = Event("file altered, size and time kept (probe_scores)", alter("probe_scores", keep_time=True), ("probe_scores",), ("report",))
"""Seen by --deep alone."""
