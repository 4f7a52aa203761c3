"""Figure 9: compares the members of one experiment, each size at its best over seeds and beams.

Source: "best over 2 seeds and 2 beams" (arXiv:2407.20311). Ours: the interval is that of the best run alone, and the other runs are drawn beside it,
because the best of several runs is higher than a single run would be expected to be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from igsm_pipeline.errors import NotFound
from igsm_pipeline.experiments.experiment import Experiment, find_member, load_experiments
from igsm_pipeline.intervals.interval import Interval
from igsm_pipeline.planning.flow import units_of
from igsm_pipeline.planning.planner import find_unit
from igsm_pipeline.reports import figures
from igsm_pipeline.reports.findings import finished_verdicts
from igsm_pipeline.reports.page import Page
from igsm_pipeline.reports.paper_rows import accuracy_rows
from igsm_pipeline.store import MANIFEST, Store, find_home, write_atomically

SEED_AXES = frozenset({"training.seed", "seed"})
"""Axes whose members repeat one size."""


@dataclass(frozen=True)
class Run:
    """One accuracy of one member.

    Attributes:
        size: labels of the member's axes, without seeds.
        member: key of the member.
        slice: the slice that was solved.
        beams: beams of the search.
        n: number of problems.
        correct: share of fully correct solutions.
        parameters: number of parameters of the model.
    """

    size: str
    member: str
    slice: str
    beams: int
    n: int
    correct: Interval
    parameters: int


def finished_runs(experiment: Experiment, store: Store) -> list[Run]:
    """Every accuracy of the members with finished verdicts, in the grid's order."""
    found = []
    for member in experiment.members:
        units = units_of(member)
        rows = accuracy_rows(finished_verdicts(units, store))
        if not rows:
            continue
        checkpoint = next(unit for unit in units if unit.stage == "checkpoint")
        parameters = int(store.manifest(checkpoint)["counts"]["parameters"])
        size = ".".join(label for axis, label in member.labels.items() if axis not in SEED_AXES) or member.key
        found += [Run(size, member.key, row.slice, row.beams, row.n, row.correct, parameters) for row in rows]
    return found


def best_runs(runs: list[Run]) -> dict[str, dict[str, Run]]:
    """slice -> size -> its best run; only slices that every size has."""
    sizes = list(dict.fromkeys(run.size for run in runs))
    best: dict[str, dict[str, Run]] = {}
    for run in runs:
        cell = best.setdefault(run.slice, {})
        if run.size not in cell or run.correct.value > cell[run.size].correct.value:
            cell[run.size] = run
    return {part: {size: cell[size] for size in sizes} for part, cell in best.items() if len(cell) == len(sizes)}


def write_grid_report(experiment: Experiment, store: Store, folder: Path) -> Path:
    """Write the page of an experiment's members, and its figure as SVG and PNG, from the results so far.

    Args:
        experiment: an experiment with several members.
        store: the store of their verdicts.
        folder: gets ``EXPERIMENT.html``, ``EXPERIMENT-sizes.svg`` and ``.png``.

    Returns:
        The page's path.

    Raises:
        NotFound: no member has finished verdicts.
    """
    runs = finished_runs(experiment, store)
    best = best_runs(runs)
    if not best:
        raise NotFound(f"no member of {experiment.name} has finished verdicts yet: make them with `igsm run {experiment.name} --stage verdicts`")
    done = list(dict.fromkeys(run.member for run in runs))
    figure = figures.sizes(
        {part: {size: run.correct for size, run in cell.items()} for part, cell in best.items()},
        {part: {size: [run.correct.value for run in runs if (run.slice, run.size) == (part, size)] for size in cell} for part, cell in best.items()},
    )
    page = Page(f"iGSM: sizes of {experiment.name}", f"{experiment.title}. {len(done)} of {len(experiment.members)} members are finished.")
    page.section(
        "Does depth help?",
        "Fully correct solutions of each size at its best over seeds and beams, with the 95% interval of that run; pale marks are its other runs. "
        "The best of several runs is higher than one run can be expected to be.",
    )
    page.figure(figures.svg(figure), "Figure 9: accuracy of each size, best run with its interval, other runs pale.")
    _table(page, best, runs)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / f"{experiment.name}-sizes.svg", figures.svg(figure).encode())
    write_atomically(folder / f"{experiment.name}-sizes.png", figures.png(figure))
    path = folder / f"{experiment.name}.html"
    write_atomically(path, page.render().encode())
    return path


def find_report(named: str) -> tuple[Path, bool]:
    """The report of a member, and whether it is fresh. For an experiment with a grid it is the page of its members, written now.

    Raises:
        NotFound: there is no report yet.
    """
    store, experiment = Store.at_home(), load_experiments({}).get(named)
    if experiment is not None and len(experiment.members) > 1:
        return write_grid_report(experiment, store, find_home() / "reports"), True
    unit = find_unit(find_member(named), "report", "report")
    path = store.path(unit) / "report.html"
    if not (path.parent / MANIFEST).exists():
        raise NotFound(f"no report of {named} yet: make it with `igsm run {named}`")
    return path, store.check(unit).fresh


def _table(page: Page, best: Mapping[str, Mapping[str, Run]], runs: list[Run]) -> None:
    rows = []
    for part, cell in best.items():
        for size, run in cell.items():
            others = sorted((one.correct.value for one in runs if (one.slice, one.size) == (part, size)), reverse=True)
            every = ", ".join(f"{100 * value:.1f}" for value in others)
            rows.append((part, size, run.parameters, run.n, run.correct.percent(), f"{run.member}, beam {run.beams}", every))
    page.table(("slice", "size", "parameters", "n", "fully correct, %", "best run", "all runs, %"), rows)
