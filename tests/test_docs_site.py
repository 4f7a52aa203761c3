"""The documentation site: the first use of every term leads to its meaning, and the site is built strictly, without a network."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote

import pytest
import yaml

pytest.importorskip("mkdocs", reason="mkdocs is not installed: pip install -e '.[check]'")
ROOT = Path(__file__).parents[1]
SECTIONS = ["Start", "Tutorials", "How to", "Explanation", "Reference", "Results"]


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    """docs/hooks.py, as MkDocs loads it."""
    spec = importlib.util.spec_from_file_location("hooks", ROOT / "docs" / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_first_use_in_running_text_is_linked_and_no_other(hooks: ModuleType) -> None:
    page = "<h2>A gain</h2><p>Two gains, another gain, <code>gain</code> and <code>op</code>, no op, no again.</p><pre><code>op</code></pre>"
    linked = hooks.link_first_uses(page, {"gain": "a *difference*", "`op`": "operations"}, "words.html")
    assert linked == (
        '<h2>A gain</h2><p>Two <a class="word" href="words.html#word-gain" title="a difference">gains</a>, another gain, <code>gain</code> and '
        '<code><a class="word" href="words.html#word-op" title="operations">op</a></code>, no op, no again.</p><pre><code>op</code></pre>'
    )


def test_a_word_within_another_or_within_its_meaning_is_not_linked_again(hooks: ModuleType) -> None:
    linked = hooks.link_first_uses("<p>a linear probe</p>", {"probe": "asks a linear probe", "linear probe": "a probe"}, "w.html")
    assert linked == '<p>a <a class="word" href="w.html#word-linear-probe" title="a probe">linear probe</a></p>'


def test_every_word_has_a_meaning_and_a_place_of_its_own(hooks: ModuleType) -> None:
    words = hooks.words()
    assert len(words) > 25
    assert len({hooks.anchor(word) for word in words}) == len(words)
    assert all(len(meaning) > 15 for meaning in words.values())


def test_the_site_has_the_sections_and_every_page_stands_in_one(hooks: ModuleType) -> None:
    listed = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    assert [name for section in listed for name in section] == SECTIONS
    pages = [page for section in listed for entries in section.values() for entry in entries for page in entry.values()]
    written = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]
    assert sorted(pages) == sorted([*written, *hooks.PAGES])


@pytest.mark.slow
def test_the_site_is_built_strictly_and_every_link_of_a_word_leads_to_its_meaning(tmp_path: Path, hooks: ModuleType) -> None:
    environment = {
        **os.environ,
        "NO_MKDOCS_2_WARNING": "1",
        "PYTHONPATH": str(ROOT),
        "http_proxy": "http://127.0.0.1:9",
        "https_proxy": "http://127.0.0.1:9",
    }
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    places = set(re.findall(r'id="(word-[a-z0-9-]+)"', (tmp_path / "words.html").read_text()))
    assert places == {hooks.anchor(word) for word in hooks.words()}
    used = set()
    for path in tmp_path.rglob("*.html"):
        for address in re.findall(r'<a class="word" href="([^"]+)"', path.read_text()):
            file, _, place = unquote(address).partition("#")
            assert (path.parent / file).resolve() == tmp_path / "words.html", path
            assert place in places, path
            used.add(place)
    assert len(used) > 20
    loaded = [
        one for path in tmp_path.rglob("*.html") for one in re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(https?:[^"]+)"', path.read_text())
    ]
    assert not [one for one in loaded if "igsm" not in one], "a page loads something from elsewhere"
