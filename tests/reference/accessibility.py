"""What axe-core finds on a page that makes it hard to use without eyes, colours or a mouse."""

from __future__ import annotations

from typing import Any

SERIOUS = ("serious", "critical")


def serious_findings(page: Any, axe: str) -> list[list[Any]]:
    """The serious findings: impact, rule, and the beginnings of the elements.

    Args:
        page: a tab that shows the page.
        axe: axe-core's source.
    """
    page.evaluate(axe)
    found = page.evaluate(
        "axe.run().then(found => found.violations.map(one => [one.impact, one.id, one.nodes.map(node => node.html.slice(0, 200))]))"
    )
    return [one for one in found if one[0] in SERIOUS]
