"""Documents as a piece of a page (a report embeds it), or as a page of its own that loads nothing from elsewhere."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from igsm_pipeline.queries.tasks import TASKS, TaskName

STATIC = Path(__file__).with_name("static")
MODULES = ("belief.js", "fragment.js", "elements.js", "text.js", "graph.js", "table.js", "player.js", "start.js")
"""The modules of a page, each after those that it imports."""
STYLES = ("player.css", "beliefs.css")
SHORT_WORDS: dict[TaskName, str] = {
    "nece": "needed",
    "dep": "rests on it",
    "known": "computed",
    "value": "value",
    "can_next": "can be next",
    "nece_next": "needed next",
}
QUESTIONS: dict[TaskName, str] = {
    "nece": "Is it needed to answer the question?",
    "dep": "Does the quantity that is looked at rest on it?",
    "known": "Has the solution computed it by now?",
    "value": "Which value has it, if the solution has computed it by now?",
    "can_next": "Can it be computed next?",
    "nece_next": "Can it be computed next, and is it needed?",
}
_IMPORT = re.compile(r"^import .*;\n", re.MULTILINE)
_EXPORT = re.compile(r"^export ", re.MULTILINE)
LEAD = (
    "Step through the solution (▶, arrow keys, space) and watch what the model holds in its state after each sentence. A probe is a small "
    "reader that was trained to answer one question about one quantity from that state alone, whether anything was said about it or not."
)
_LEGEND = (
    ("l-true", "", "outline: true"),
    ("l-untrue", "", "dashed: not true"),
    ("l-fill", "", "fill and number: how sure the probe is of yes"),
    ("l-unequal", "≠", "the probe is wrong"),
    ("l-ring", "", "asked for"),
    ("l-now", "", "this sentence"),
)


def player_fragment(scenes: Sequence[Mapping[str, Any]], *, keys: Literal["here", "page"] = "here") -> str:
    """The player with its documents, style and script, to be put anywhere into the body of a page; once a page.

    Args:
        scenes: what ``scene.make_scene`` made, in the order of the list to choose from.
        keys: ``here``: arrow keys and space count while the focus is in the player; ``page``: everywhere.
    """
    data = embedded_json({"about": about(), "scenes": list(scenes)})
    script = f'<script type="application/json">{data}</script>'
    style = "".join(map(read_static, STYLES))
    return f'<style>{style}</style>{shell(script, keys=keys, attributes=" data-scenes")}<script type="module">{bundle()}</script>'


def player_page(title: str, scenes: Sequence[Mapping[str, Any]], lead: str = "") -> str:
    """A whole page: the player and nothing else."""
    name = html.escape(title)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{name}</title><style>{read_static('page.css')}</style></head>\n<body><header><h1>{name}</h1>"
        f"{f'<p>{html.escape(lead)}</p>' if lead else ''}</header>\n<main>{player_fragment(scenes, keys='page')}</main></body></html>\n"
    )


def shell(inside: str = "", *, keys: Literal["here", "page"], attributes: str = "") -> str:
    """The empty player: legend and the places that the script fills."""
    legend = "".join(f'<li><i class="{kind}" aria-hidden="true">{sign}</i>{words}</li>' for kind, sign, words in _LEGEND)
    places = (("picker", ""), ("controls", ""), ("steps", ' role="group" aria-label="Steps"'))
    parts = "".join(f'<div data-part="{name}"{more}></div>' for name, more in places)
    title = '<h2 class="unseen">The player</h2>' if keys == "page" else ""
    label = "Player of a solution and of the beliefs behind it"
    panels = "".join(f'<div data-part="{name}"></div>' for name in ("text", "graph"))
    return (
        f'<section class="igsm-player" id="player" tabindex="-1" data-keys="{keys}" aria-label="{label}"{attributes}>'
        f'{title}<p class="intro">{html.escape(LEAD)}</p><ul class="legend">{legend}</ul>{inside}{parts}'
        f'<p data-part="summary" aria-live="polite"></p><div class="panels">{panels}</div><div data-part="table"></div>'
        "<noscript><p>The player needs JavaScript; it loads nothing from elsewhere.</p></noscript></section>"
    )


def about() -> dict[str, Any]:
    """What the script has to know of the tasks."""
    words = ((task, SHORT_WORDS.get(task.name, task.name), QUESTIONS.get(task.name, task.words)) for task in TASKS.values())
    return {"tasks": [{"name": task.name, "short": short, "question": question, "when": task.asked_at} for task, short, question in words]}


def bundle(modules: Iterable[str] = MODULES) -> str:
    """Modules as one, without their imports and exports, since a page in one file has no other files."""
    return "\n".join(_EXPORT.sub("", _IMPORT.sub("", read_static(name))) for name in modules)


def embedded_json(value: Any) -> str:
    """JSON that can stand in a script element: no "<" ends it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")


def read_static(name: str) -> str:
    """A file of ``static``."""
    return (STATIC / name).read_text(encoding="utf-8")
