"""A problem's dependency graph, drawn: what rests on what, what the answer needs, what is asked for.

Own layout: a parameter stands in the column of its depth (the longest way to a parameter that rests on nothing), rows are ordered by the rows of
what they rest on, so that few lines cross.
"""

from __future__ import annotations

import html
from collections.abc import Mapping

from igsm_pipeline.problems.problem import ABSTRACT, Parameter, Problem

WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 168, 42, 56, 14, 12
Place = tuple[int, int]
_ARROW = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M0 0L8 4L0 8z" fill="currentColor"/></marker></defs>'
)


def depths(problem: Problem) -> dict[Parameter, int]:
    """Every parameter of the dependency graph with the length of its longest way to one that rests on nothing."""
    found: dict[Parameter, int] = {}
    waiting = list(problem.graph)
    while waiting:
        parameter = waiting[-1]
        missing = [parent for parent in problem.parents(parameter) if parent not in found]
        if missing:
            waiting.extend(missing)
            continue
        waiting.pop()
        found[parameter] = 1 + max((found[parent] for parent in problem.parents(parameter)), default=-1)
    return {parameter: depth for parameter, depth in found.items() if parameter in problem.graph}


def places(problem: Problem) -> dict[Parameter, Place]:
    """Column and row of every parameter of the dependency graph."""
    columns: dict[int, list[Parameter]] = {}
    for parameter, depth in sorted(depths(problem).items(), key=lambda item: (item[1], item[0])):
        columns.setdefault(depth, []).append(parameter)
    found: dict[Parameter, Place] = {}

    def wish(parameter: Parameter) -> tuple[float, Parameter]:
        rows = [found[parent][1] for parent in problem.parents(parameter) if parent in found]
        return (sum(rows) / len(rows) if rows else 0.0, parameter)

    for depth, parameters in sorted(columns.items()):
        for row, parameter in enumerate(sorted(parameters, key=wish)):
            found[parameter] = (depth, row)
    return found


def dependency_graph(problem: Problem, wrong: str | None = None) -> str:
    """The graph as an ``<svg>`` element.

    Args:
        problem: whose graph.
        wrong: name of the parameter at which the model's solution fails, outlined in red.
    """
    where = places(problem)
    columns = 1 + max((column for column, _ in where.values()), default=0)
    rows = 1 + max((row for _, row in where.values()), default=0)
    width = 2 * MARGIN + columns * WIDTH + (columns - 1) * GAP_X
    height = 2 * MARGIN + rows * HEIGHT + (rows - 1) * GAP_Y
    lines = [
        _edge(where[parent], where[child], _needed(problem, child))
        for child in where
        for parent in dict.fromkeys(problem.parents(child))
        if parent in where
    ]
    boxes = [_box(problem, parameter, place, wrong) for parameter, place in where.items()]
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="dependency graph" {size}>'
    return head + _ARROW + "".join(lines) + "".join(boxes) + "</svg>"


def _needed(problem: Problem, parameter: Parameter) -> bool:
    return parameter in problem.necessary


def _corner(place: Place) -> tuple[int, int]:
    return MARGIN + place[0] * (WIDTH + GAP_X), MARGIN + place[1] * (HEIGHT + GAP_Y)


def _edge(start: Place, end: Place, needed: bool) -> str:
    (x0, y0), (x1, y1) = _corner(start), _corner(end)
    x0, y0, y1 = x0 + WIDTH, y0 + HEIGHT // 2, y1 + HEIGHT // 2
    bend = max(GAP_X // 2, (x1 - x0) // 2)
    opacity = 0.85 if needed else 0.25
    path = f"M{x0} {y0}C{x0 + bend} {y0} {x1 - bend} {y1} {x1 - 2} {y1}"
    return f'<path d="{path}" fill="none" stroke="currentColor" stroke-width="1.3" opacity="{opacity}" marker-end="url(#tip)"/>'


def _box(problem: Problem, parameter: Parameter, place: Place, wrong: str | None) -> str:
    x, y = _corner(place)
    name, needed, asked = problem.name(parameter), _needed(problem, parameter), parameter == problem.query
    owner, _, thing = name.partition("'s ")
    colour = "#ef4444" if name == wrong else "#2563eb" if needed else "currentColor"
    fill = f'fill="{colour}" fill-opacity="{0.22 if asked else 0.1 if needed else 0.0}"'
    dash = ' stroke-dasharray="4 3"' if parameter.kind == ABSTRACT else ""
    stroke = f'stroke="{colour}" stroke-width="{3 if asked or name == wrong else 1.4}"{dash}'
    texts = _label(x, y + 17, f"{owner}'s", 11) + _label(x, y + 33, f"{thing} = {problem.values[parameter]}", 12, weight=600)
    title = f"<title>{html.escape(name)} = {problem.values[parameter]}</title>"
    return f'<g opacity="{1 if needed else 0.55}">{title}<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="7" {fill} {stroke}/>{texts}</g>'


def _label(x: int, y: int, text: str, size: int, weight: int = 400) -> str:
    limit = int((WIDTH - 12) / (0.56 * size))
    short = text if len(text) <= limit else text[: limit - 1] + "…"
    look = f'text-anchor="middle" font-size="{size}" font-weight="{weight}" fill="currentColor"'
    return f'<text x="{x + WIDTH // 2}" y="{y}" {look}>{html.escape(short)}</text>'


def counts(problem: Problem) -> Mapping[str, int]:
    """How large a graph is: parameters, necessary ones, edges."""
    edges = sum(len(set(problem.parents(parameter))) for parameter in problem.graph)
    return {"parameters": len(problem.graph), "necessary": len(problem.necessary), "edges": edges}
