"""Figure 9: compares the members of one experiment, each size at its best over seeds and beams.

Source: "best over 2 seeds and 2 beams" (arXiv:2407.20311). Ours: the interval is that of the best run alone, and the other runs are drawn beside it,
because the best of several runs is higher than a single run would be expected to be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from igsm_pipeline.errors import NotFound
from igsm_pipeline.experiments.experiment import Experiment, find_member, load_experiments
from igsm_pipeline.intervals.interval import Interval
from igsm_pipeline.planning.planner import find_unit, plan
from igsm_pipeline.reports.charts.chart import Chart
from igsm_pipeline.reports.charts.curves import Point, draw_curves, looks
from igsm_pipeline.reports.page import Cell, Page, interval_cell
from igsm_pipeline.reports.results import slice_name
from igsm_pipeline.running.sharing import look_ahead, pull_free
from igsm_pipeline.store import MANIFEST, Store, find_home, write_atomically
from igsm_pipeline.store.remote import Remote
from igsm_pipeline.toolbox.depth import AtLength, at_lengths, write_at_lengths
from igsm_pipeline.toolbox.found import Found, read_found
from igsm_pipeline.toolbox.seeds import OverSeeds, model_of, over_seeds, size_of, write_over_seeds
from igsm_pipeline.toolbox.when import Half, Ratio, half_gains, write_when

_COMPARED = ("verdicts", "probe_scores")
"""The stages whose results the page of an experiment reads."""


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


def finished_runs(found: Sequence[Found], store: Store) -> list[Run]:
    """Every accuracy of the members with finished verdicts, in the grid's order; members that only probe a model anew count once."""
    runs: list[Run] = []
    seen = set[str]()
    for one in found:
        if model_of(one.member) in seen or not one.accuracies:
            continue
        seen.add(model_of(one.member))
        checkpoint = next(unit for unit in one.units if unit.stage == "checkpoint")
        parameters = int(store.manifest(checkpoint)["counts"]["parameters"])
        size = size_of(one.member) or model_of(one.member)
        runs += [Run(size, one.member.key, row.slice, row.beams, row.n, row.correct, parameters) for row in one.accuracies]
    return runs


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
        folder: gets ``EXPERIMENT.html`` and, with verdicts, ``EXPERIMENT-sizes.svg`` and ``.png``.

    Returns:
        The page's path.

    Raises:
        NotFound: no member has finished verdicts, and snapshots of fewer than two have been looked at.
    """
    found = read_found(experiment, store)
    runs = finished_runs(found, store)
    best = best_runs(runs)
    come = half_gains(found, store)
    if not best and not come[0]:
        raise NotFound(f"no member of {experiment.name} has finished verdicts yet: make them with `igsm run {experiment.name} --stage verdicts`")
    page, chart = grid_page(experiment, runs, best, over_seeds(found, store), at_lengths(found, store), come)
    folder.mkdir(parents=True, exist_ok=True)
    if chart is not None:
        write_atomically(folder / f"{experiment.name}-sizes.svg", chart.svg.encode())
        write_atomically(folder / f"{experiment.name}-sizes.png", chart.png())
    path = folder / f"{experiment.name}.html"
    write_atomically(path, page.render().encode())
    return path


def grid_page(
    experiment: Experiment,
    runs: list[Run],
    best: Mapping[str, Mapping[str, Run]],
    repeated: Sequence[OverSeeds] = (),
    lengths: Sequence[AtLength] = (),
    come: tuple[Sequence[Half], Sequence[Ratio]] = ((), ()),
) -> tuple[Page, Chart | None]:
    """The page that compares an experiment's members, and its chart; None without verdicts."""
    done = list(dict.fromkeys(run.member for run in runs))
    title = experiment.title[:1].upper() + experiment.title[1:]
    page = Page(title, f"{len(done)} of {len(experiment.members)} members are finished.", f"iGSM comparison of {experiment.name}")
    for claim in dict.fromkeys(member.settings.claim for member in experiment.members if member.settings.claim):
        page.stated(claim, opening=True)
    op_max = experiment.members[0].settings.family.op_max
    chart = _write_best(page, best, runs, op_max) if best else None
    write_at_lengths(page, lengths, op_max)
    write_over_seeds(page, repeated, op_max)
    write_when(page, *come)
    page.section("Where the numbers come from")
    page.text("This command makes the members that are missing; the page is written anew each time it is asked for.")
    page.code(f"igsm run {experiment.name}")
    return page, chart


def _write_best(page: Page, best: Mapping[str, Mapping[str, Run]], runs: list[Run], op_max: int) -> Chart:
    """The section on what is solved; its chart."""
    names = {part: slice_name(part, op_max) for part in best}
    page.section("Which one solves most?", *(_finding(names[part], cell) for part, cell in best.items()))
    series = dict(zip(best, looks(list(names.values())).values(), strict=True))
    points = [
        *(Point(size, series[part], _percent(run.correct), run.n) for part, cell in best.items() for size, run in cell.items()),
        *(
            Point(run.size, series[run.slice], _percent(run.correct), run.n, aside=True)
            for run in runs
            if run.slice in best and run is not best[run.slice][run.size]
        ),
    ]
    words = "Share of problems solved by each member at its best run, with 95% intervals; its other runs are pale."
    chart = draw_curves("sizes", words, points, x="member", y="fully correct, %")
    page.chart(
        chart,
        "Figure 9: fully correct solutions, the best run of each.",
        "Each mark is the best run over seeds and beams, with the 95% interval of that run; pale marks are the other runs.",
        "The best of several runs is higher than one run can be expected to be.",
    )
    _tables(page, best, runs, names)
    return chart


def _percent(value: Interval) -> Interval:
    return Interval(100 * value.value, 100 * value.low, 100 * value.high, value.n)


def _finding(part: str, cell: Mapping[str, Run]) -> str:
    """Who leads on a slice, and whether the intervals of first and last stand apart."""
    ordered = sorted(cell.values(), key=lambda run: -run.correct.value)
    first, last = ordered[0], ordered[-1]
    if first.correct.low <= last.correct.high:
        return (
            f"{part[:1].upper()}{part[1:]}: no evidence that one is better than another; the best, {first.size}, solves {first.correct.percent()} %."
        )
    return f"{part[:1].upper()}{part[1:]}: {first.size} solves most, {first.correct.percent()} %; {last.size} least, {last.correct.percent()} %."


def find_report(named: str, say: Callable[[str], None] = lambda line: None) -> tuple[Path, bool]:
    """The report of a member, and whether it is fresh. For an experiment with a grid it is the page of its members, written now.

    With ``IGSM_REMOTE``, a member's report that is whole there is pulled; it is fresh if all that it rests on is here or there. For an experiment
    the verdicts and probe scores of its members are pulled, with what they rest on.

    Args:
        named: a member or an experiment.
        say: called with a line of text about what is pulled or refused.

    Raises:
        NotFound: there is no report yet.
    """
    store, experiment, remote = Store.at_home(), load_experiments({}).get(named), Remote.from_environment()
    if experiment is not None and len(experiment.members) > 1:
        if remote is not None:
            _pull_compared(experiment, store, remote, say)
        return write_grid_report(experiment, store, find_home() / "reports"), True
    member = find_member(named)
    unit = find_unit(member, "report", "report")
    path = store.path(unit) / "report.html"
    if remote is not None:
        pull_free([unit] if store.check_own(unit) else [], store, remote, say)
        if (path.parent / MANIFEST).exists():
            return path, unit not in look_ahead(plan(member, store), store, remote).plan.stale
    if not (path.parent / MANIFEST).exists():
        raise NotFound(f"no report of {named} yet: make it with `igsm run {named}`")
    return path, store.check(unit).fresh


def _pull_compared(experiment: Experiment, store: Store, remote: Remote, say: Callable[[str], None]) -> None:
    """Pull what the page of an experiment reads and other machines have finished: a result counts only with all that it rests on."""
    for member in experiment.members:
        ahead = look_ahead(plan(member, store), store, remote)
        wanted = {unit for unit in ahead.plan.units if unit.stage in _COMPARED and unit not in set(ahead.plan.stale)}
        for unit in reversed(ahead.plan.units):  # what reads a unit comes behind it
            wanted |= set(unit.inputs.values()) if unit in wanted else set()
        pull_free((unit for unit in ahead.pulls if unit in wanted), store, remote, say)


def _tables(page: Page, best: Mapping[str, Mapping[str, Run]], runs: list[Run], names: Mapping[str, str]) -> None:
    sizes = list(dict.fromkeys(run.size for run in runs))
    rows: list[tuple[Cell, ...]] = []
    for size in sizes:
        cells = [cell[size] for cell in best.values() if size in cell]
        rows.append((size, cells[0].parameters, *(interval_cell(run.correct) for run in cells)))
    head = ("member", "parameters", *names.values())
    columns = ("slice", "member", "size", "beams", "n", "parameters", "correct", "correct_low", "correct_high")
    file = [(run.slice, run.member, run.size, run.beams, run.n, run.parameters, *run.correct[:3]) for run in runs]
    page.fold("best_runs", head, rows, "Fully correct, %, the best run of each; the file has every run.", (columns, file))
    page.part("Every run")
    for part, cell in best.items():
        lines = []
        for size, run in cell.items():
            every = sorted((one.correct.value for one in runs if (one.slice, one.size) == (part, size)), reverse=True)
            lines.append((size, f"{run.member}, beam {run.beams}", run.n, ", ".join(f"{100 * value:.1f}" for value in every)))
        page.fold(f"runs_{part.replace('<', '')}", ("member", "best run", "n", "all runs, %"), lines, of=names[part])
