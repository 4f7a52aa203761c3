"""The check of reports lets a page through that stands alone, and sees what one would load from elsewhere."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from igsm_pipeline.reports.checks import self_contained
from igsm_pipeline.reports.page import Page


def run(folder: Path, more: str = "") -> Any:
    """A report with something more in its body, as checks see it."""
    html = Page("a title", "a lead").render()
    assert "</body>" in html
    (folder / "report.html").write_text(html.replace("</body>", f"{more}</body>"))
    return SimpleNamespace(folders=lambda: [folder])


@pytest.mark.parametrize(
    "more", ["", '<img src="data:image/png;base64,AAAA">', '<a href="#top">top</a>', "<p>see https://arxiv.org/abs/2407.20311</p>"]
)
def test_a_page_that_stands_alone_passes(tmp_path: Path, more: str) -> None:
    assert self_contained(run(tmp_path, more)).passed


@pytest.mark.parametrize(
    "more",
    [
        '<img src="https://example.org/a.png">',
        "<script src='//example.org/a.js'></script>",
        '<link rel=stylesheet href="http://example.org/a.css">',
        "<style>@import 'https://example.org/a.css';</style>",
        '<div style="background: url(https://example.org/a.png)"></div>',
    ],
)
def test_a_page_that_loads_from_elsewhere_fails_and_says_what(tmp_path: Path, more: str) -> None:
    outcome = self_contained(run(tmp_path, more))
    assert not outcome.passed
    assert "example.org" in outcome.message
