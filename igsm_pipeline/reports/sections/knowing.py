"""What does it know, and is that the model or the probe? (Figures 7 and 12.)"""

from __future__ import annotations

from collections.abc import Sequence

from igsm_pipeline.intervals.interval import Interval, of_columns
from igsm_pipeline.reports.charts.chart import HALF, Chart
from igsm_pipeline.reports.charts.curves import Point, draw_curves, looks
from igsm_pipeline.reports.charts.intervals import Mark, draw_intervals
from igsm_pipeline.reports.charts.theme import BLUE, ORANGE, PROBES, Series
from igsm_pipeline.reports.findings import Row
from igsm_pipeline.reports.page import Cell, Page, interval_cell
from igsm_pipeline.reports.paper_rows import before_last_quarter, score, whole_scores
from igsm_pipeline.reports.results import MODELS, Results, listed, no_evidence, said, task_name
from igsm_pipeline.reports.sections.opening import paper_mark, percent

_COLUMNS = ("accuracy", "balanced_accuracy", "balanced_accuracy_gain", "mcc", "auroc")
_CURVE_COLUMNS = (
    "task", "model", "step", "n", "num_problems",
    *(f"{name}{end}" for name in ("balanced_accuracy", "gain_left") for end in ("", "_low", "_high")),
)  # fmt: skip
_EVENED = "Probes, controls and trees on the text answer as if every answer were equally common (probes.prior: uniform)."


def gains(results: Results) -> list[tuple[str, str, Interval, int]]:
    """Row name, slice, and gain of the V-probe over random weights, in order; value twice, once over the queries whose value is known."""
    found = []
    for subset, more in (("all", ""), ("known", ", once computed")):
        for (task, part, probe), row in whole_scores(results.scores, subset).items():
            gain = score(row, "balanced_accuracy_gain")
            if probe == "v_probe" and gain is not None:
                found.append((task_name(task) + more, part, gain, int(row["n"])))
    return found


def write_knowing(page: Page, results: Results) -> None:
    """The section; nothing where nothing was probed."""
    if not results.scores:
        page.missing("What does it know?", "no probe has been scored")
        return
    parts = results.probed_slices
    page.section("What does it know, and is that the model or the probe?", *_findings(results, parts[0]))
    how = (
        "A probe is a small reader trained to answer a question from the model's state; if it does as well on random weights, it has learned"
        " the answer itself.",
        "So the difference to random weights decides: right of the dashed line the model knows something.",
    )
    found = gains(results)
    if found:
        _gains(page, results, found, how)
    else:
        page.missing("Gain over random weights", "no V-probe has been scored on a model with random weights")
    if results.beyond_text:
        _beyond_text(page, results)
    else:
        page.missing("Gain over the text alone", "no probe without a model has been scored")
    page.part("Every probe and its controls")
    page.how(
        "needed: will the answer need it? rests on: does one quantity depend on another? computed: is it known by now? its value: which number? "
        "can be next: could it be computed in the next sentence? needed next: could and should it?",
        "Left: share of right answers, the paper's values dotted. Right: yes and no weigh the same, so always giving one answer is chance (dashed).",
        *([_EVENED] if results.settings.experiment.get("probes", {}).get("prior") == "uniform" else []),
    )
    for number, part in enumerate(parts):
        _one_slice(page, results, number, part)
    _by_sign_and_need(page, results, parts)
    if results.probe_curves:
        _curves(page, results)
    else:
        page.missing("Were the probes trained for long enough?", "no V-probe's training held problems out")


def _findings(results: Results, part: str) -> list[str]:
    mine = [(name, gain) for name, where, gain, _ in gains(results) if where == part]
    if not mine:
        return ["Probes were scored, but no V-probe beside its control."]
    more = [f"{_plain(name)} +{said(gain, unit='')}" for name, gain in mine if gain.low > 0]
    less = [f"{_plain(name)} {said(gain, unit='')}" for name, gain in mine if gain.high < 0]
    none = [f"{_plain(name)} {said(gain, unit='')}" for name, gain in mine if no_evidence(gain)]
    found = []
    if more:
        found.append(
            f"On {results.slice_name(part)}, the trained model tells more than random weights, in points of balanced accuracy: {listed(more)}."
        )
    if less:
        found.append(f"They find less for {listed(less)}.")
    if none:
        found.append(f"No evidence that it knows more than random weights: {listed(none)}.")
    text = [(_plain(task_name(row["task"])), _over_text(row)) for row in results.beyond_text if row["slice"] == part]
    if text:
        over = [f"{name} {gain.value * 100:+.1f} ({100 * gain.low:.1f} to {100 * gain.high:.1f})" for name, gain in text if not no_evidence(gain)]
        under = [name for name, gain in text if no_evidence(gain)]
        found.append(
            "Beside what trees read off the text with no model at all: "
            + "; ".join([*([listed(over)] if over else []), *([f"no evidence of a gain for {listed(under)}"] if under else [])])
            + "."
        )
    return found


def _over_text(row: Row) -> Interval:
    return of_columns(row, "gain")


def _plain(name: str) -> str:
    return name.partition(" (")[0]


def _gains(page: Page, results: Results, found: Sequence[tuple[str, str, Interval, int]], how: Sequence[str]) -> None:
    series = looks([results.slice_name(part) for part in results.probed_slices])
    marks = [Mark(name, series[results.slice_name(part)], percent(gain), n) for name, part, gain, n in found]
    words = "Gain in balanced accuracy of V-probes over the same probes on random weights, by question and kind of problem, with 95% intervals."
    chart = draw_intervals(
        "gains", words, marks, axis="gain over random weights, points of balanced accuracy", domain=None, lines={"no difference": 0.0}
    )
    page.chart(chart, "V-probe less the same probe on random weights, problems resampled for both at once.", *how)
    cells = {(name, part): gain for name, part, gain, _ in found}
    parts = [part for part in results.probed_slices if any(where == part for _, where in cells)]
    rows = [(name, *(interval_cell(cells.get((name, part))) for part in parts)) for name in dict.fromkeys(name for name, _ in cells)]
    file = [(name, part, *gain[:3], n) for name, part, gain, n in found]
    head = ("question", *map(results.slice_name, parts))
    page.fold("gains", head, rows, "Points of balanced accuracy.", (("question", "slice", "gain", "gain_low", "gain_high", "n"), file))


def _beyond_text(page: Page, results: Results) -> None:
    rows = results.beyond_text
    parts = [part for part in results.probed_slices if any(row["slice"] == part for row in rows)]
    series = looks([results.slice_name(part) for part in parts])
    marks = [
        Mark(task_name(row["task"]), series[results.slice_name(row["slice"])], percent(_over_text(row)), row["n"])
        for row in rows
        if row["slice"] in parts
    ]
    words = (
        "Gain in balanced accuracy of V-probes over trees that read the text without a model, by question and kind of problem, with 95% intervals."
    )
    page.chart(
        draw_intervals(
            "beyond_text", words, marks, axis="gain over the text alone, points of balanced accuracy", domain=None, lines={"no difference": 0.0}
        ),
        "V-probe less trees on the text, on the same queries.",
        "Some answers can be read off the words near a quantity, with no model at all.",
        "Right of the dashed line the model's state tells more than that.",
    )
    cells = {(row["task"], row["slice"]): _over_text(row) for row in rows}
    lines = [(task_name(task), *(interval_cell(cells.get((task, part))) for part in parts)) for task in dict.fromkeys(row["task"] for row in rows)]
    names = ("task", "slice", "n", "gain", "gain_low", "gain_high")
    file = [[row[name] for name in names] for row in rows]
    page.fold("beyond_text", ("question", *map(results.slice_name, parts)), lines, "Points of balanced accuracy.", (names, file))


def _one_slice(page: Page, results: Results, number: int, part: str) -> None:
    charts = [
        ("Share of right answers", probe_chart(results, part, "accuracy", f"probes_{number}")),
        ("Each answer weighs the same", probe_chart(results, part, "balanced_accuracy", f"probes_balanced_{number}")),
    ]
    page.part(results.slice_name(part)[0].upper() + results.slice_name(part)[1:])
    page.charts_beside((title, chart) for title, chart in charts if chart is not None)
    rows = [row for (_, where, _), row in results.whole.items() if where == part]
    probes = [probe for probe in PROBES if any(row["probe"] == probe for row in rows)]
    tasks = list(dict.fromkeys(str(row["task"]) for row in rows))
    cells: list[tuple[Cell, ...]] = [(task_name(task), *(interval_cell(results.probe(task, part, probe)) for probe in probes)) for task in tasks]
    head = ("question", *(PROBES[probe].name for probe in probes))
    file_head = (
        "task",
        "slice",
        "probe",
        "layer",
        "n",
        "problems",
        "positives",
        "negatives",
        *(f"{name}{end}" for name in _COLUMNS for end in ("", "_low", "_high")),
    )
    file = [_file_row(row) for row in rows]
    note = "Balanced accuracy, %; the file has accuracy, MCC and AUROC as well. A linear probe's layer was chosen on training problems."
    page.fold(f"probes_{number}", head, cells, note, (file_head, file))


def _file_row(row: Row) -> tuple[object, ...]:
    counted = tuple(row.get(name) for name in ("task", "slice", "probe", "layer", "n", "num_problems", "positives", "negatives"))
    return (*counted, *(row.get(f"{name}{end}") for name in _COLUMNS for end in ("", "_low", "_high")))


def probe_chart(results: Results, part: str, measure: str, name: str) -> Chart | None:
    """Figure 7 on one slice: every question, each probe beside its controls, the paper's accuracies; None where there is nothing."""
    balanced = measure == "balanced_accuracy"
    marks = []
    for task in dict.fromkeys(task for task, where, _ in results.whole if where == part):
        for probe, look in PROBES.items():
            value = results.probe(task, part, probe, measure)
            if value is not None and not (balanced and probe == "majority"):
                marks.append(Mark(task_name(task), look, percent(value), results.whole[task, part, probe]["n"]))
        marks += [] if balanced else paper_mark(task_name(task), results.paper_probe(task, part))
    if not marks:
        return None
    what = "Balanced accuracy" if balanced else "Accuracy"
    words = f"{what} of every probe on {results.slice_name(part)}, by question, beside controls."
    lines = {"chance of a yes-or-no question": 50.0} if balanced else {}
    return draw_intervals(name, words, marks, axis=f"{what.lower()}, %", domain="high", lines=lines, width=HALF)


def _by_sign_and_need(page: Page, results: Results, parts: Sequence[str]) -> None:
    signs = [(part, chart) for number, part in enumerate(parts) if (chart := sign_chart(results, part, f"signs_{number}")) is not None]
    needs = [(part, chart) for number, part in enumerate(parts) if (chart := need_chart(results, part, f"necessary_{number}")) is not None]
    if signs:
        page.part("When the answer is yes, and when it is no")
        page.how(
            "A probe that always says no is right whenever the answer is no.",
            "Only one that is right on both sides knows something (figure 12).",
        )
        page.charts_beside((results.slice_name(part), chart) for part, chart in signs)
    if needs:
        page.part("Of what the answer does not need, too")
        page.how("A model that only computed what it needs would know nothing of the rest.", "The paper finds that it knows of both (figure 7b).")
        page.charts_beside((results.slice_name(part), chart) for part, chart in needs)
    else:
        page.missing("Figure 7b: quantities that the answer does not need", "no V-probe was scored on them apart")


def sign_chart(results: Results, part: str, name: str) -> Chart | None:
    """Figure 12: accuracy of V-probes on positives and on negatives; None where there is nothing."""
    sides = (
        ("accuracy_positive", "positives", Series("the answer is yes", BLUE)),
        ("accuracy_negative", "negatives", Series("the answer is no", ORANGE, "square")),
    )
    marks = []
    for (task, where, probe), row in results.whole.items():
        for measure, count, look in sides:
            value = score(row, measure)
            if where == part and probe == "v_probe" and value is not None:
                marks.append(Mark(task_name(task), look, percent(value), row[count]))
    words = f"Accuracy of V-probes on {results.slice_name(part)} where the answer is yes and where it is no."
    return draw_intervals(name, words, marks, axis="accuracy, %", width=HALF) if marks else None


def need_chart(results: Results, part: str, name: str) -> Chart | None:
    """Figure 7b: accuracy of V-probes on quantities that the answer needs, and on others; None where the latter were not scored."""
    sides = {"necessary": Series("needed for the answer", BLUE), "unnecessary": Series("not needed", ORANGE, "square")}
    marks = []
    for subset, look in sides.items():
        for (task, where, probe), row in whole_scores(results.scores, subset).items():
            value = score(row, "accuracy")
            if where == part and probe == "v_probe" and value is not None:
                marks.append(Mark(task_name(task), look, percent(value), row["n"]))
    if not any(mark.series.name == "not needed" for mark in marks):
        return None
    words = f"Accuracy of V-probes on {results.slice_name(part)}, on quantities that the answer needs and on others."
    return draw_intervals(name, words, marks, axis="accuracy, %", width=HALF)


def _curves(page: Page, results: Results) -> None:
    rows = results.probe_curves
    page.part("Were the probes trained for long enough?")
    page.how(
        "Each V-probe was scored on training problems that no step of its own saw.",
        "One that still gains in the last quarter was too short.",
        "One that does not may have been too short as well: its rate falls to nothing at the end, and only more steps tell.",
    )
    models = [model for model in MODELS if any(row["model"] == model for row in rows)]
    page.charts_beside((MODELS[model], curve_chart(results, model, f"probe_curves_{model}")) for model in models)
    cells = []
    for task, model in dict.fromkeys((str(row["task"]), str(row["model"])) for row in rows):
        own = [row for row in rows if (row["task"], row["model"]) == (task, model)]
        ends = interval_cell(score(own[-1], "balanced_accuracy")), interval_cell(score(before_last_quarter(own), "gain_left"))
        cells.append((task_name(task), MODELS[model], f"{own[-1]['step']:,}", *ends))
    head = ("question", "model", "steps", "at the end", "gained in the last quarter")
    file = [tuple(row[name] for name in _CURVE_COLUMNS) for row in rows]
    page.fold("probe_curves", head, cells, "Balanced accuracy on held-out training problems, %, and points of it.", (_CURVE_COLUMNS, file))


def curve_chart(results: Results, model: str, name: str) -> Chart:
    """Balanced accuracy of the V-probes of one model on held-out problems, over the steps of their training."""
    rows = [row for row in results.probe_curves if row["model"] == model]
    look = looks([task_name(task) for task in dict.fromkeys(row["task"] for row in rows)])
    values = [(row, score(row, "balanced_accuracy")) for row in rows]
    points = [Point(row["step"], look[task_name(row["task"])], percent(value), row["n"]) for row, value in values if value is not None]
    words = f"Balanced accuracy of V-probes of {MODELS[model]} on held-out training problems, over the steps of their training."
    return draw_curves(name, words, points, x="steps of the probe", y="balanced accuracy, %", domain=(40, 100), width=HALF)
