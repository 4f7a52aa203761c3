"""A problem's graphs, drawn. Dependencies: what rests on what, what the answer needs, what is asked for. Structure: which items hold which.

Own layout: in the dependency graph a parameter stands in the column of its depth (the longest way to a parameter that rests on nothing), rows are
ordered by the rows of what they rest on, so that few lines cross.
"""

from __future__ import annotations

import html
from collections.abc import Mapping

from igsm_pipeline.problems.problem import ABSTRACT, Parameter, Problem

WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 168, 42, 56, 14, 12
STRUCTURE_GAP = 120
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
        wrong: name of the parameter at which the model's solution fails, outlined in vermillion.
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
    """An arrow; one that passes other columns runs between the rows, not behind boxes."""
    (x0, y0), (x1, y1) = _corner(start), _corner(end)
    x0, y0, y1 = x0 + WIDTH, y0 + HEIGHT // 2, y1 + HEIGHT // 2
    half = GAP_X // 2
    if end[0] == start[0] + 1:
        path = f"M{x0} {y0}C{x0 + half} {y0} {x1 - half} {y1} {x1 - 2} {y1}"
    else:
        between = y0 + (HEIGHT + GAP_Y) // (-2 if end[1] < start[1] else 2)
        into = f"C{x1 - half} {between} {x1 - half} {y1} {x1 - 2} {y1}"
        path = f"M{x0} {y0}C{x0 + half} {y0} {x0 + half} {between} {x0 + GAP_X} {between}H{x1 - GAP_X}{into}"
    opacity = 0.85 if needed else 0.25
    return f'<path d="{path}" fill="none" stroke="currentColor" stroke-width="1.3" opacity="{opacity}" marker-end="url(#tip)"/>'


def _box(problem: Problem, parameter: Parameter, place: Place, wrong: str | None) -> str:
    x, y = _corner(place)
    name, needed, asked = problem.name(parameter), _needed(problem, parameter), parameter == problem.query
    owner, _, thing = name.partition("'s ")
    colour = "#d55e00" if name == wrong else "#2563eb" if needed else "currentColor"
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


def structure_graph(problem: Problem) -> str:
    """The structure as an ``<svg>`` element: a column per layer, an edge per instance parameter with its value; what the answer needs is blue."""
    columns, rows = len(problem.items), max(map(len, problem.items))
    width, height = 2 * MARGIN + columns * WIDTH + (columns - 1) * STRUCTURE_GAP, 2 * MARGIN + 20 + rows * HEIGHT + (rows - 1) * GAP_Y
    parts = []
    for number, one in enumerate(problem.instances):
        needed = _needed(problem, one)
        (x0, y0), (x1, y1) = _item_corner(one.layer, one.item), _item_corner(one.layer + 1, one.target)
        x0, y0, y1 = x0 + WIDTH, y0 + HEIGHT // 2, y1 + HEIGHT // 2
        colour, opacity, along = "#2563eb" if needed else "currentColor", 0.9 if needed else 0.4, 0.3 + 0.2 * (number % 3)
        x, y = round(x0 + along * (x1 - x0)), round(y0 + along * (y1 - y0))
        value = f'<text x="{x}" y="{y - 3}" text-anchor="middle" font-size="11" fill="{colour}">{problem.values[one]}</text>'
        line = f'<path d="M{x0} {y0}L{x1} {y1}" stroke="{colour}" stroke-width="{3 if one == problem.query else 1.3}"/>'
        parts.append(f'<g opacity="{opacity}"><title>{html.escape(problem.name(one))} = {problem.values[one]}</title>{line}{value}</g>')
    for layer, items in enumerate(problem.items):
        parts.append(_label(_item_corner(layer, 0)[0], MARGIN + 10, problem.categories[layer], 12, weight=600))
        for item, name in enumerate(items):
            x, y = _item_corner(layer, item)
            box = f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="7" fill="none" stroke="currentColor" stroke-width="1.2"/>'
            parts.append(box + _label(x, y + 26, name, 12))
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="structure" {size}>{"".join(parts)}</svg>'


def _item_corner(layer: int, item: int) -> Place:
    return MARGIN + layer * (WIDTH + STRUCTURE_GAP), MARGIN + 20 + item * (HEIGHT + GAP_Y)


def counts(problem: Problem) -> Mapping[str, int]:
    """How large a graph is: parameters, necessary ones, edges."""
    edges = sum(len(set(problem.parents(parameter))) for parameter in problem.graph)
    return {"parameters": len(problem.graph), "necessary": len(problem.necessary), "edges": edges}
