"""Sections, charts and tables as one HTML file that loads nothing from elsewhere and reads well by day, by night, on a phone and on paper."""

from __future__ import annotations

import csv
import html
import io
import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from igsm_pipeline.intervals.interval import Interval

if TYPE_CHECKING:
    from igsm_pipeline.reports.charts.chart import Chart

WORDS = 40
"""A cell of more characters than this is prose."""
STYLE = Path(__file__).with_name("page.css")
SCRIPT = Path(__file__).with_name("page.js")
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline' 'unsafe-eval'; img-src data: blob:; font-src data:"
"""What a browser lets the page do: run what stands in it, load nothing."""
_REFERENCE = re.compile(
    r"""(?:src|href|xlink:href|data|poster|action)\s*=\s*["']?\s*((?:https?:)?//[^"'\s>]+)|(@import[^;]+)|url\(\s*["']?((?:https?:)?//[^)]+)""", re.I
)


@dataclass(frozen=True)
class Markup:
    """HTML that is already escaped."""

    text: str


Cell = str | int | float | None | Markup
Rows = Iterable[Sequence[Cell]]
Download = tuple[Sequence[str], Iterable[Sequence[object]]]


def escape(value: Cell) -> str:
    """A value as HTML: markup as it is, numbers with separators, nothing as a dash."""
    if isinstance(value, Markup):
        return value.text
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.3g}"
    return html.escape(value)


def interval_cell(value: Interval | None, digits: int = 1, scale: float = 100) -> Markup | None:
    """A value with its interval below it; None where it is not defined."""
    if value is None or math.isnan(value.value):
        return None
    number, _, rest = value.shown(digits, scale).partition(" ")
    return Markup(number + (f"<small>{rest.strip('()')}</small>" if rest else ""))


def csv_text(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows as a CSV file."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return stream.getvalue()


def _cell(index: int, cell: Cell) -> str:
    if index == 0:
        return f"<th scope=row>{escape(cell)}</th>"
    words = isinstance(cell, str) and len(cell) > WORDS
    return f"<td{' class=text' if words else ''}>{escape(cell)}</td>"


def table_markup(head: Sequence[str], rows: Rows) -> str:
    """A ``<table>``; cells after the first of a row are set as numbers, those of more than ``WORDS`` characters as text that wraps."""
    lines = "".join(f"<tr>{''.join(_cell(index, cell) for index, cell in enumerate(row))}</tr>" for row in rows)
    titles = "".join(f"<th scope=col>{html.escape(title)}</th>" for title in head)
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{lines}</tbody></table>"


@dataclass
class Page:
    """A page under construction.

    Attributes:
        title: of the page.
        lead: what it is, in a sentence or two.
        above: one quiet line above the title.
        charts: name -> chart, those that it shows.
        beside: name -> content of the files that lie beside it.
    """

    title: str
    lead: str
    above: str = ""
    charts: dict[str, Chart] = field(default_factory=dict)
    beside: dict[str, bytes] = field(default_factory=dict)
    _opening: list[str] = field(default_factory=list)
    _body: list[str] = field(default_factory=list)
    _contents: list[tuple[str, str]] = field(default_factory=list)
    _missing: list[tuple[str, str]] = field(default_factory=list)

    def opening(self, markup: Markup) -> None:
        """Add to what stands above the list of contents."""
        self._opening.append(markup.text)

    def section(self, title: str, *findings: str) -> None:
        """Begin a section, with what it found in words."""
        anchor = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
        self._contents.append((anchor, title))
        self._body.append(f'<h2 id="{anchor}">{html.escape(title)}</h2>')
        self._body += [f'<p class="finding">{html.escape(finding)}</p>' for finding in findings]

    def part(self, title: str) -> None:
        """Begin a part of a section."""
        self._body.append(f"<h3>{html.escape(title)}</h3>")

    def text(self, *paragraphs: str) -> None:
        """Paragraphs of plain text."""
        self._body += [f"<p>{html.escape(paragraph)}</p>" for paragraph in paragraphs]

    def stated(self, claim: str, *, opening: bool = False) -> None:
        """What was claimed before it was run, in the section that began last or, with ``opening``, above the list of contents; nothing for ""."""
        if not claim:
            return
        words = f"Stated before it was run: {claim}"
        if opening:
            self.opening(Markup(f'<p class="stated">{html.escape(words)}</p>'))
        else:
            self.text(words)

    def how(self, *sentences: str) -> None:
        """How to read what comes next, for someone who has not read the paper."""
        self._body.append(f'<p class="how">{html.escape(" ".join(sentences))}</p>')

    def missing(self, what: str, reason: str) -> None:
        """Note what is not shown, and why; the list stands near the end of the page."""
        self._missing.append((what, reason))

    def what_is_missing(self) -> list[tuple[str, str]]:
        """What is not shown, each with its reason, in order."""
        return list(self._missing)

    def table(self, head: Sequence[str], rows: Rows, note: str = "") -> None:
        """A table of words in the open."""
        caption = f"<figcaption>{html.escape(note)}</figcaption>" if note else ""
        self._body.append(f'<figure class="words">{table_markup(head, rows)}{caption}</figure>')

    def fold(self, name: str, head: Sequence[str], rows: Rows, note: str = "", download: Download = ((), ()), of: str = "") -> None:
        """A folded table with a link that saves its numbers.

        Args:
            name: of the CSV file.
            head, rows: of the table.
            note: what its cells say.
            download: head and rows of the file, where they are other than those of the table.
            of: what the numbers are of, where several tables follow one another.
        """
        rows = list(rows)
        plain = [[html.unescape(re.sub("<[^>]+>", " ", cell.text)) if isinstance(cell, Markup) else cell for cell in row] for row in rows]
        text = csv_text(*download) if download[0] else csv_text(head, plain)
        link = f'<a download="{name}.csv" href="data:text/csv;charset=utf-8,{quote(text)}">Save {name}.csv</a>'
        named = f": {html.escape(of)}" if of else ""
        note = f"<p class=how>{html.escape(note)}</p>" if note else ""
        self._body.append(
            f'<details><summary>The numbers as a table{named}</summary>{note}{table_markup(head, rows)}<p class="csv">{link}</p></details>'
        )

    def chart(self, chart: Chart, caption: str, *how: str) -> None:
        """A chart with its caption and, beside it where there is room, how to read it."""
        told = f'<p class="how">{html.escape(" ".join(how))}</p>' if how else ""
        words = f"<figcaption><strong>{html.escape(caption)}</strong>{told}</figcaption>"
        self._body.append(f'<figure class="block">{words}{self._place(chart)}</figure>')

    def charts_beside(self, charts: Iterable[tuple[str, Chart]]) -> None:
        """Charts side by side where there is room, each under its title."""
        inside = "".join(self.chart_markup(chart, title).text for title, chart in charts)
        self._body.append(f'<div class="pair">{inside}</div>')

    def chart_markup(self, chart: Chart, title: str = "") -> Markup:
        """A chart to be placed by hand; the page draws it live."""
        head = f"<figcaption><strong>{html.escape(title)}</strong></figcaption>" if title else ""
        return Markup(f"<figure>{head}{self._place(chart)}</figure>")

    def _place(self, chart: Chart) -> str:
        self.charts[chart.name] = chart
        return f'<div class="chart" data-chart="{chart.name}" data-words="{html.escape(chart.words)}">{chart.svg}</div>'

    def drawing(self, svg: str, caption: str) -> None:
        """A drawing that is no chart, as wide as it is; it scrolls where it is wider than its place."""
        tail = f"<figcaption>{html.escape(caption)}</figcaption>"
        self._body.append(f'<figure><div class="graph" tabindex="0" role="group" aria-label="drawing, scrolls sideways">{svg}</div>{tail}</figure>')

    def code(self, text: str, title: str = "") -> None:
        """Text as it is, in a fixed-width font."""
        head = f"<figcaption>{html.escape(title)}</figcaption>" if title else ""
        self._body.append(f"<figure>{head}<pre>{html.escape(text)}</pre></figure>")

    def markup(self, markup: Markup) -> None:
        """HTML made elsewhere."""
        self._body.append(markup.text)

    def render(self) -> str:
        """The whole file."""
        contents = "".join(f'<li><a href="#{anchor}">{html.escape(title)}</a></li>' for anchor, title in self._contents)
        title, style = html.escape(self.title), STYLE.read_text(encoding="utf-8")
        above = f'<p class="eyebrow">{html.escape(self.above)}</p>' if self.above else ""
        return (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}"><title>{title}</title><style>{style}</style></head>\n'
            f'<body><a class="skip" href="#content">To the results</a><header>{above}<h1>{title}</h1><p class="lead">{html.escape(self.lead)}</p>'
            f'{"".join(self._opening)}</header>\n<nav aria-label="Contents"><ul>{contents}</ul></nav>\n'
            f'<main id="content">{"".join(self._body)}</main>\n{self._live()}</body></html>\n'
        )

    def _live(self) -> str:
        if not self.charts:
            return ""
        from igsm_pipeline.reports.charts.chart import live_charts  # noqa: PLC0415  (a page without charts needs no drawing library)

        specifications = json.dumps({name: chart.spec for name, chart in self.charts.items()}, separators=(",", ":")).replace("</", "<\\/")
        script = SCRIPT.read_text(encoding="utf-8")
        return f'<script type="application/json" id="charts">{specifications}</script>\n<script>{live_charts()}</script>\n<script>{script}</script>\n'


def foreign_references(text: str) -> list[str]:
    """Everything that a browser would load from elsewhere; names of XML namespaces and links in plain text are no such thing."""
    return [next(part for part in match.groups() if part) for match in _REFERENCE.finditer(text)]
