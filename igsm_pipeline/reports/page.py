"""Sections, tables and figures as one HTML file that loads nothing from elsewhere and reads well by day and by night."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

WORDS = 40
"""A cell of more characters than this is prose."""
STYLE = Path(__file__).with_name("page.css")
_REFERENCE = re.compile(
    r"""(?:src|href|xlink:href|data|poster|action)\s*=\s*["']?\s*((?:https?:)?//[^"'\s>]+)|(@import[^;]+)|url\(\s*["']?((?:https?:)?//[^)]+)""", re.I
)


@dataclass(frozen=True)
class Markup:
    """HTML that is already escaped."""

    text: str


Cell = str | int | float | None | Markup


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


def _cell(index: int, cell: Cell) -> str:
    if index == 0:
        return f"<th scope=row>{escape(cell)}</th>"
    words = isinstance(cell, str) and len(cell) > WORDS
    return f"<td{' class=text' if words else ''}>{escape(cell)}</td>"


@dataclass
class Page:
    """A page under construction.

    Attributes:
        title: of the page.
        lead: what it is, in a sentence or two.
    """

    title: str
    lead: str
    _body: list[str] = field(default_factory=list)
    _contents: list[tuple[str, str]] = field(default_factory=list)

    def section(self, title: str, *paragraphs: str) -> None:
        """Begin a section, with what it shows in words."""
        anchor = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
        self._contents.append((anchor, title))
        self._body.append(f'<h2 id="{anchor}">{html.escape(title)}</h2>')
        self.text(*paragraphs)

    def text(self, *paragraphs: str) -> None:
        """Paragraphs of plain text."""
        self._body += [f"<p>{html.escape(paragraph)}</p>" for paragraph in paragraphs]

    def table(self, head: Sequence[str], rows: Iterable[Sequence[Cell]], note: str = "") -> None:
        """A table; cells after the first of a row are set as numbers, those of more than ``WORDS`` characters as text that wraps."""
        lines = "".join(f"<tr>{''.join(_cell(index, cell) for index, cell in enumerate(row))}</tr>" for row in rows)
        titles = "".join(f"<th scope=col>{html.escape(title)}</th>" for title in head)
        caption = f"<figcaption>{html.escape(note)}</figcaption>" if note else ""
        self._body.append(f'<figure class="table"><table><thead><tr>{titles}</tr></thead><tbody>{lines}</tbody></table>{caption}</figure>')

    def figure(self, svg: str, caption: str) -> None:
        """A drawing with its caption."""
        self._body.append(f"<figure>{svg}<figcaption>{html.escape(caption)}</figcaption></figure>")

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
        return (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{title}</title><style>{style}</style></head>\n<body><header><h1>{title}</h1>"
            f'<p class="lead">{html.escape(self.lead)}</p></header>\n<nav aria-label="Contents"><ul>{contents}</ul></nav>\n'
            f"<main>{''.join(self._body)}</main></body></html>\n"
        )


def foreign_references(text: str) -> list[str]:
    """Everything that a browser would load from elsewhere; names of XML namespaces and links in plain text are no such thing."""
    return [next(part for part in match.groups() if part) for match in _REFERENCE.finditer(text)]
