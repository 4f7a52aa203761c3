"""The reference page of the Python face: every name of ``igsm_pipeline`` and of what ``igsm.open`` gives, from signatures and docstrings.

Ours: all of it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

_PART = re.compile(r"^(Args|Returns|Raises|Yields|Attributes):$")


def python_page() -> str:
    """The page as Markdown."""
    import igsm_pipeline as igsm
    from igsm_pipeline.notebook.member import MemberMind
    from igsm_pipeline.notebook.mind import FolderMind, Mind
    from igsm_pipeline.notebook.probe import Probe
    from igsm_pipeline.notebook.published import PublishedMind
    from igsm_pipeline.toolbox.solving import Solved

    parts = [
        "# Python",
        "`import igsm_pipeline as igsm` loads nothing heavy: each name waits until it is used. "
        "[In a notebook](../notebook.md) shows them in ten lines, [Read a probe](../tutorial-model.md) one after the other.",
        "## Functions and records",
    ]
    for name in igsm.__all__:
        parts += described(f"igsm.{name}", getattr(igsm, name), own=name != "FamilySettings")
    parts += [
        "## What `igsm.open` gives",
        "A member of an experiment gives a `MemberMind`, a published folder a `PublishedMind`, any other model a `FolderMind`.",
    ]
    for kind in (Mind, MemberMind, PublishedMind, FolderMind, Probe, Solved):
        parts += described(kind.__name__, kind)
    return "\n\n".join(parts) + "\n"


def described(name: str, thing: object, *, own: bool = True) -> Iterator[str]:
    """A function, or a class with its public methods, as Markdown.

    Args:
        name: as people write it.
        thing: the function or class.
        own: whether to list a class's methods.
    """
    yield f"### `{name}`"
    yield from _told(thing)
    if not inspect.isclass(thing) or not own:
        return
    for method, value in vars(thing).items():
        asked = getattr(value, "__func__", getattr(value, "fget", getattr(value, "func", value)))
        if method.startswith("_") or not inspect.isfunction(asked):
            continue
        yield f"#### `{name.removeprefix('igsm.')}.{method}`"
        yield from _told(asked, show=asked is value)


def _told(thing: object, *, show: bool = True) -> Iterator[str]:
    """Signature (of what is called) and docstring."""
    if show and inspect.isfunction(thing):
        words = re.sub(r"\w+\.(?=[A-Z])", "", str(inspect.signature(thing))).replace("'", "").replace("(self, ", "(").replace("(self)", "()")
        yield f"`{thing.__name__}{words}`"
    yield from markdown_of(inspect.getdoc(thing) or "")


def markdown_of(text: str) -> Iterator[str]:
    """A docstring as Markdown: examples as code, and lists of what goes in and comes out."""
    for paragraph in re.split(r"\n\s*\n", text):
        lines = paragraph.splitlines()
        if not paragraph.strip():
            continue
        head = _PART.match(lines[0].strip())
        if head is not None:
            yield f"*{head[1]}*"
            yield "\n".join(_items(lines[1:]))
        elif lines[0].lstrip().startswith(">>>"):
            yield "```pycon\n" + inspect.cleandoc(paragraph) + "\n```"
        else:
            yield " ".join(line.strip() for line in lines).replace("``", "`")


def _items(lines: list[str]) -> Iterator[str]:
    """``name: words`` as list items; deeper lines belong to the item above."""
    margin = min((len(line) - len(line.lstrip()) for line in lines), default=0)
    item = ""
    for line in lines:
        name, colon, words = line.strip().partition(": ")
        if len(line) - len(line.lstrip()) == margin and (colon or not item):
            if item:
                yield item
            item = f"- `{name.strip('`')}`: {words}" if colon else f"- {line.strip()}"
        else:
            item += f" {line.strip()}"
    if item:
        yield item.replace("``", "`")
