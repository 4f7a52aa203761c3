"""Adds the reference pages to the site while MkDocs builds it, and links the first use of every word of words.md.

The program itself writes the reference pages, so that none can lag behind.
"""

from __future__ import annotations

import html
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

from igsm_pipeline.cli.reference import PAGES

WORDS = Path(__file__).with_name("words.md")
QUIET = ("a", "pre", "h1", "h2", "h3", "h4", "h5", "h6", "svg", "script", "style", "summary")
"""Elements in which no word is linked."""
_ROW = re.compile(r"^\| (?!word \||---)(?P<names>[^|]+) \| (?P<meaning>.+) \|$", re.MULTILINE)
_TAG = re.compile(r"(<[^>]+>)")
_NAME = re.compile(r"</?(\w+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Called by MkDocs when it has listed the files of docs/."""
    for path, write in PAGES.items():
        files.append(File.generated(config, path, content=write()))
    return files


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Called by MkDocs with the HTML of a page."""
    if page.file.src_uri == WORDS.name:
        return with_anchors(content)
    return link_first_uses(content, words(), get_relative_url("words.html", page.url))


def words() -> dict[str, str]:
    """Every word of words.md with its meaning; one in code style keeps its marks."""
    found = {}
    for row in _ROW.finditer(WORDS.read_text(encoding="utf-8")):
        for name in row["names"].split(", "):
            found[name.strip()] = row["meaning"]
    return found


def anchor(word: str) -> str:
    """The place of a word on its page."""
    return "word-" + re.sub(r"[^a-z0-9]+", "-", word.lower()).strip("-")


def with_anchors(content: str) -> str:
    """The page of words with a place to link to before each."""
    for word in words():
        shown = f"<code>{html.escape(word.strip('`'))}</code>" if word.startswith("`") else html.escape(word)
        content = re.sub(rf"(<tr>\s*<td>(?:(?!</td>).)*?)(?<![\w-])({re.escape(shown)})", rf'\1<span id="{anchor(word)}">\2</span>', content, count=1)
    return content


def link_first_uses(content: str, meanings: dict[str, str], address: str) -> str:
    """Link the first use of every word in running text; a word in code style is looked for in code style only.

    Args:
        content: HTML.
        meanings: word -> meaning, which a pointer at the link shows.
        address: of the page of words.
    """
    waiting = dict(meanings)
    quiet, code, out = 0, False, []
    for part in _TAG.split(content):
        tag = _NAME.match(part) if part.startswith("<") else None
        if tag is not None:
            quiet += (tag[1] in QUIET) * (-1 if part.startswith("</") else 1)
            code = (code or tag[1] == "code") and part != "</code>"
        linkable = tag is None and not quiet and part.strip()
        out.append(_linked(part, waiting, address, code) if linkable else part)
    return "".join(out)


def _linked(text: str, waiting: dict[str, str], address: str, code: bool) -> str:
    """A piece of text with links in it; what was linked waits no more."""
    for word in sorted(waiting, key=len, reverse=True):
        if word.startswith("`") != code:
            continue
        shown = re.escape(html.escape(word.strip("`"), quote=False))
        pattern = rf"^{shown}$" if code else rf"(?<![\w-]){shown}s?(?![\w-])(?![^<]*</a>)"
        found = re.search(pattern, text, 0 if code or word[0].isupper() else re.IGNORECASE)
        if found is None:
            continue
        meaning = html.escape(re.sub(r"[*`]", "", waiting.pop(word)), quote=True)
        link = f'<a class="word" href="{address}#{anchor(word)}" title="{meaning}">{found[0]}</a>'
        text = text[: found.start()] + link + text[found.end() :]
    return text
