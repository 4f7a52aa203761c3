"""README fits on a screen or three, and its numbers and links are those of the repository."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from igsm_pipeline.toolbox.claims import claims

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"<!-- claims: (?P<what>[^\n,]+?)(?P<short>, headline)? -->\n(?P<text>.*?)<!-- end of claims -->", re.DOTALL)


def test_it_is_short() -> None:
    lines = README.splitlines()
    assert len(lines) <= 110
    assert not [line for line in lines if len(line) > 120]


def test_it_names_the_two_commands_and_the_demo() -> None:
    assert all(f"make {target}" in README for target in ("run", "test", "demo"))


@pytest.mark.parametrize("page", ["README.md", "docs/results.md"])
def test_claims_are_what_the_command_writes(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    blocks = list(BLOCK.finditer((ROOT / page).read_text(encoding="utf-8")))
    assert blocks
    for block in blocks:
        assert block["text"].strip() == claims(block["what"], short=bool(block["short"])), "run `igsm report --claims`"


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\(([^)#:]+)\)", README))))
def test_a_link_leads_somewhere(path: str) -> None:
    assert (ROOT / path).exists()
