"""Tables of the law: statistics of a family's problems, by mean and distribution, to compare generators.

Ours: the choice of statistics (``problems.describe.statistics`` explains each) and the layout.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from igsm_pipeline.outputs import check_output, find_format
from igsm_pipeline.problems.describe.statistics import COUNTS, count_problems
from igsm_pipeline.problems.law.blocks import generate
from igsm_pipeline.problems.settings import ProblemSetSettings
from igsm_pipeline.store import written_whole
from igsm_pipeline.tokens import TokenSettings, build_table, emit
from igsm_pipeline.world.world import World

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
_POOLED = {
    "share of statements with RNG": ("statements with RNG", "statements"),
    "share of abstract parameters that are childless": ("childless abstract", "abstract parameters"),
    "share of necessary abstract ones that are childless": ("necessary childless abstract", "necessary abstract"),
}
_PROBLEMS_WITH = {
    "share of problems with a childless abstract parameter": "childless abstract",
    "share of problems that need a childless one": "necessary childless abstract",
    "share of problems with an abstract query": "abstract query",
}
_SPELLED_OUT = ("op", "necessary abstract", "necessary instance", "depth", "layers", "items", "in-degree of a parameter")


@dataclass(frozen=True)
class LawTables:
    """Statistics of one problem set.

    Attributes:
        settings: settings of the problem set.
        world: where the names come from.
        num_problems: number of problems.
        by_problem: values of each statistic, one per problem.
        in_degrees: how many parameters have 0, 1, ... parents.
    """

    settings: ProblemSetSettings
    world: str
    num_problems: int
    by_problem: Mapping[str, NDArray[np.int64]]
    in_degrees: NDArray[np.int64]

    def shares(self) -> dict[str, tuple[float, float]]:
        """Shares with their standard errors (for ratios of sums: by the delta method over problems)."""
        found = {}
        for name, (part, whole) in _POOLED.items():
            a, b = self.by_problem[part].astype(float), self.by_problem[whole].astype(float)
            share = a.sum() / max(b.sum(), 1.0)
            found[name] = (share, float(np.std(a - share * b) / max(b.mean(), 1e-12) / np.sqrt(len(a))))
        for name, column in _PROBLEMS_WITH.items():
            share = float((self.by_problem[column] > 0).mean())
            found[name] = (share, float(np.sqrt(share * (1 - share) / self.num_problems)))
        return found

    def histograms(self) -> dict[str, dict[int, int]]:
        """How often each value occurs, of every statistic."""
        counted = {name: np.bincount(values) for name, values in self.by_problem.items()} | {"in-degree of a parameter": self.in_degrees}
        return {name: {int(value): int(counts[value]) for value in np.flatnonzero(counts)} for name, counts in counted.items()}

    def canonical(self) -> dict[str, Any]:
        """Everything as JSON values."""
        means = {name: {"mean": float(values.mean()), "sd": float(values.std())} for name, values in self.by_problem.items()}
        return {
            "settings": self.settings.canonical(), "world": self.world, "problems": self.num_problems, "statistics": means,
            "shares": {name: {"share": share, "se": error} for name, (share, error) in self.shares().items()}, "histograms": self.histograms(),
        }  # fmt: skip


def make_tables(settings: ProblemSetSettings, world: World, world_name: str) -> LawTables:
    """Draw a problem set, block by block, and count; tokens are those of GPT-2's segmentation."""
    table = build_table(world, settings.family.modulus, TokenSettings())
    columns: dict[str, list[NDArray[np.int64]]] = {name: [] for name in (*COUNTS, "tokens")}
    in_degrees = np.zeros(0, np.int64)
    for batch in generate(settings, world):
        counts = count_problems(batch.records)
        for name in COUNTS:
            columns[name].append(counts.column(name))
        columns["tokens"].append(emit(batch, table, settings.family.format).lengths)
        in_degrees = counts.in_degrees + (in_degrees if len(in_degrees) else 0)
    by_problem = {name: np.concatenate(parts) for name, parts in columns.items()}
    return LawTables(settings, world_name, settings.num_problems, by_problem, in_degrees)


def write_tables(settings: ProblemSetSettings, world: World, world_name: str, out: Path | None = None) -> None:
    """Make tables and write them as Markdown, to a file or stdout, or as JSON where the file's name ends in .json.

    Raises:
        BadSettings: the file cannot be written, or its name ends otherwise; said before the work.
    """
    kind = "md"
    if out is not None:
        check_output(out)
        kind = find_format(out, {".md": "md", ".json": "json"})
    tables = make_tables(settings, world, world_name)
    text = json.dumps(tables.canonical(), indent=1) + "\n" if kind == "json" else tables_text(tables)
    if out is None:
        sys.stdout.write(text)
    else:
        with written_whole(out) as temporary:
            temporary.write_text(text, encoding="utf-8")


def tables_text(tables: LawTables) -> str:
    """The tables as a section of Markdown."""
    return "\n".join(_lines(tables)) + "\n"


def _lines(tables: LawTables) -> Iterator[str]:
    settings, family = tables.settings, tables.settings.family
    law = f"exact, op {settings.op}" if settings.law == "exact" else "range"
    yield f"## {law}: op_max {family.op_max}, ip_max {family.ip_max}, modulus {family.modulus}, world {tables.world}"
    yield ""
    yield f"{tables.num_problems:,} problems, split {settings.split}, seed {settings.seed}, stream {settings.stream!r}."
    yield ""
    yield "| per problem | mean | se | sd | " + " | ".join(f"{quantile:.0%}" for quantile in QUANTILES) + " |"
    yield "|---|" + "---:|" * (3 + len(QUANTILES))
    for name, values in tables.by_problem.items():
        if name not in _PROBLEMS_WITH.values() or name == "childless abstract":
            quantiles = " | ".join(f"{value:.0f}" for value in np.quantile(values, QUANTILES, method="inverted_cdf"))
            yield f"| {name} | {values.mean():.3f} | {values.std() / np.sqrt(len(values)):.3f} | {values.std():.3f} | {quantiles} |"
    yield ""
    yield "| share | value | se |"
    yield "|---|---:|---:|"
    for name, (share, error) in tables.shares().items():
        yield f"| {name} | {share:.4f} | {error:.4f} |"
    yield ""
    yield "| distribution | percent of each value |"
    yield "|---|---|"
    histograms = tables.histograms()
    for name in _SPELLED_OUT:
        total = sum(histograms[name].values())
        yield f"| {name} | " + ", ".join(f"{value}: {100 * number / total:.2f}" for value, number in histograms[name].items()) + " |"
