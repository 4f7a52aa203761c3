"""A stage is one object that declares everything that others need to know about it.

A stage is a pure function from settings and finished inputs to a folder of files. Its declaration gives its name, what it reads, the
tables it writes, their checks, and its cost. The planner, Dagster's graph, the DuckDB views, the estimates and the runner read
nothing else, so every fact about a stage is in one place::

    STAGE = Stage(
        name="verdicts", version=1, settings=VerdictSettings, write="igsm_pipeline.verification.write:write_verdicts",
        group="model", kinds=("python", "parquet"), words="Every step of every solution verified.",
        reads=(Read("world"), Read("problems", "problem_sets"), Read("generations")),
        tables=(Table("verdicts", "one row per solution", "verdicts.parquet", (Column("correct", "bool", "every step holds"),)),),
    )

Declarations import no numba, no torch and no Dagster: code is named by a dotted path and loaded when a unit is computed or judged.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from igsm_pipeline.processes.imports import quick_imports
from igsm_pipeline.settings import Settings, hash_json
from igsm_pipeline.store import Store, Unit

if TYPE_CHECKING:
    import pyarrow as pa


class Role(str):
    """The role of an input for the unit that reads it: a kind, and a part if there are several of the kind.

    It is the string that manifests and fingerprints hold, ``KIND`` or ``KIND:PART``; ``kind`` and ``part`` are kept beside it.
    """

    kind: str
    part: str

    def __new__(cls, kind: str, part: str = "", mark: str = ":") -> Self:
        """Make a role; in the string, ``mark`` is between kind and part."""
        self = super().__new__(cls, f"{kind}{mark}{part}" if part else kind)
        self.kind, self.part = kind, part
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return Role, (self.kind, self.part, self[len(self.kind) : len(self) - len(self.part)] or ":")

    @classmethod
    def of(cls, text: str) -> Role:
        """The role that a plain string names, as in a test or a notebook."""
        return text if isinstance(text, Role) else cls(*text.partition(":")[::2])


def parts_of(inputs: Iterable[str], kind: str) -> list[str]:
    """The parts of one kind among the roles of a unit's inputs, in alphabetical order."""
    return sorted(role.part for role in map(Role.of, inputs) if role.kind == kind and role.part)


def folder_of(inputs: Mapping[str, Path], kind: str, part: str) -> Path:
    """The folder of the input of one kind and part.

    Raises:
        KeyError: the stage has no such input.
    """
    return inputs[Role(kind, part)]


EVERY_STAGE = "*"
"""As a read: every earlier unit of the member, under the role STAGE/NAME."""


@dataclass(frozen=True)
class Read:
    """One kind of input.

    Attributes:
        role: the kind of its roles.
        stage: the stage that makes it; by default the one with the role's name.
    """

    role: str
    stage: str = ""

    @property
    def source(self) -> str:
        """The stage that makes it."""
        return self.stage or self.role


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: name in the file and in the view.
        type: Arrow's name of its type; "" if it depends on settings (a window's length, a layer's width).
        meaning: the column's meaning, in words.
        sql: the expression that makes it in the view; "" for the file's column of that name. It may use the file's columns as ``p`` and
            ``u.labels``, ``u.settings``, ``u.stage`` of the unit.
        sql_type: DuckDB's type in the view, if it does not follow from ``type``.
        stored: whether the file has it.
        shown: whether the view has it.
    """

    name: str
    type: str
    meaning: str
    sql: str = ""
    sql_type: str = ""
    stored: bool = True
    shown: bool = True


def derived(name: str, sql_type: str, meaning: str, sql: str) -> Column:
    """A column that only the view has."""
    return Column(name, "", meaning, sql, sql_type, stored=False)


def with_interval(name: str, meaning: str, resampled: str = "problems") -> tuple[Column, ...]:
    """A figure and the two ends of its interval: ``name``, ``name_low``, ``name_high``; ``resampled`` says over what."""
    ends = (Column(f"{name}_{end}", "double", f"{end} end of its 95% interval, {resampled} resampled") for end in ("low", "high"))
    return (Column(name, "double", meaning), *ends)


@dataclass(frozen=True)
class Table:
    """One kind of Parquet file of a stage, and the DuckDB view over it.

    Attributes:
        name: name of the view.
        meaning: what each row is.
        files: glob within a unit folder.
        columns: columns of the file, in its order, and of the view.
        view: whether the catalog has a view of it.
        result: whether it is a result, small enough for the catalog to hold its rows as a table instead of a view.
    """

    name: str
    meaning: str
    files: str
    columns: tuple[Column, ...]
    view: bool = True
    result: bool = False

    def schema(self) -> pa.Schema:
        """The file's Arrow schema, for the columns with a declared type."""
        import pyarrow as pa  # noqa: PLC0415  (plans need no Arrow)

        return pa.schema([(column.name, pa.type_for_alias(column.type)) for column in self.columns if column.stored and column.type])


@dataclass(frozen=True)
class Outcome:
    """The outcome of a check.

    Attributes:
        passed: whether the rule holds.
        message: what was checked and found, in words.
        metadata: figures to show.
    """

    passed: bool
    message: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Check:
    """A rule of one stage.

    Attributes:
        name: name that people see.
        words: the rule, in a sentence.
        evaluate: dotted path of ``function(StageUnits) -> Outcome``.
        blocking: whether a run stops if the rule does not hold.
    """

    name: str
    words: str
    evaluate: str
    blocking: bool = True


def _nothing(_unit: Unit) -> float:
    return 0.0


def _one(_unit: Unit) -> int:
    return 1


@dataclass(frozen=True)
class Stage:
    """A stage of the pipeline; see the module.

    Attributes:
        name: name in the store, in Dagster and on the command line.
        version: raise it when the outputs change meaning; every unit of the stage is then stale.
        settings: the class of its units' settings.
        write: dotted path of ``function(settings, inputs, writing)``, which computes a unit.
        group: phase of the pipeline.
        kinds: the tools it uses, for icons.
        words: what people get from it, in a sentence.
        reads: the kinds of its inputs.
        tables: the tables that it writes.
        checks: the checks of its units.
        disk: most bytes that a unit takes while it is made.
        work: the work of a unit: seconds of one core of a common server if ``arithmetic`` is empty, else floating-point operations.
        arithmetic: the kind of its operations (``costs.TRAINING`` and so on), which decides their speed on each device.
        memory: most bytes of a GPU that a unit needs.
        sizes: counts that describe a unit and are not added up over units.
        summary: dotted path of ``function(StageUnits) -> (head, rows)``, the table that people look at first; "" for none.
        plots: dotted path of ``function(StageUnits) -> {title: Figure}``; "" for none.
        parallel: whether each unit uses one thread, so that several can be computed side by side.
        workers: whether its function takes ``workers``, processes that share one unit; the files do not depend on their number.
        torch: whether it computes with torch, on a GPU if there is one.
        cards: most GPUs that a unit uses at once; 0: as many as are free.
        light: whether it loads neither torch nor compiled kernels, so that it starts at once.
        yields: whether it runs at a lower priority, so that making data on all cores does not slow down a training beside it.
    """

    name: str
    version: int
    settings: type[Settings]
    write: str
    group: str
    kinds: tuple[str, ...]
    words: str
    reads: tuple[Read, ...] = ()
    tables: tuple[Table, ...] = ()
    checks: tuple[Check, ...] = ()
    disk: Callable[[Unit], float] = _nothing
    work: Callable[[Unit], float] = _nothing
    arithmetic: str = ""
    memory: Callable[[Unit], float] = _nothing
    sizes: tuple[str, ...] = ()
    summary: str = ""
    plots: str = ""
    parallel: bool = False
    workers: bool = False
    torch: bool = False
    cards: Callable[[Unit], int] = _one
    light: bool = False
    yields: bool = False

    @property
    def sources(self) -> tuple[str, ...]:
        """The stages that it reads, each once; ``EVERY_STAGE`` means all earlier stages."""
        return tuple(dict.fromkeys(read.source for read in self.reads))


def load_object(path: str) -> Any:
    """The object that a dotted path names: ``package.module:name``."""
    module, _, name = path.partition(":")
    with quick_imports():
        return getattr(importlib.import_module(module), name)


@dataclass(frozen=True)
class StageUnits:
    """The finished units of one stage of one member: the input of checks, tables and plots.

    Attributes:
        stage: the stage.
        store: the store of the units.
        units: the units, in the order of the plan.
        stale: unit -> why it had to be computed; empty if none had to.
    """

    stage: Stage
    store: Store
    units: tuple[Unit, ...]
    stale: Mapping[Unit, Sequence[str]] = field(default_factory=dict)

    @property
    def hit(self) -> bool:
        """Whether nothing had to be computed."""
        return not self.stale

    @cached_property
    def manifests(self) -> Mapping[Unit, Mapping[str, Any]]:
        """The manifest of every unit."""
        return {unit: self.store.manifest(unit) for unit in self.units}

    @property
    def fingerprint(self) -> str:
        """The unit's fingerprint; of several units, a hash of theirs."""
        return self.units[0].fingerprint if len(self.units) == 1 else hash_json(sorted(unit.fingerprint for unit in self.units))

    @property
    def content(self) -> str:
        """Hash of what all units hold."""
        return hash_json({unit.fingerprint: self.manifests[unit]["content"] for unit in self.units})

    @property
    def counts(self) -> dict[str, int]:
        """Counts of all units, added up; rates, texts and sizes are left out, because they do not add."""
        total: dict[str, int] = {}
        for manifest in self.manifests.values():
            for name, value in manifest["counts"].items():
                if isinstance(value, int) and not isinstance(value, bool) and name not in self.stage.sizes:
                    total[name] = total.get(name, 0) + value
        return total

    def folders(self) -> list[Path]:
        """The units' folders."""
        return [self.store.path(unit) for unit in self.units]

    def tables(self) -> list[Path]:
        """Every Parquet file of the stage."""
        return [path for folder in self.folders() for path in sorted(folder.glob("*.parquet"))]
