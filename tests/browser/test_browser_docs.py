"""The documentation site in a browser: nothing loaded from elsewhere, as wide as its screen, usable without eyes or colours."""

from __future__ import annotations

import functools
import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from reference.accessibility import serious_findings

pytest.importorskip("mkdocs", reason="mkdocs is not installed: pip install -e '.[check]'")
pytestmark = [pytest.mark.slow, pytest.mark.browser]
ROOT = Path(__file__).parents[2]
PAGES = ("index", "start", "words", "tutorial-model", "howto", "player", "v-probing", "gallery", "results", "reference/settings", "reference/python")


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the built site."""
    folder = tmp_path_factory.mktemp("site")
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)], cwd=ROOT, env=environment, check=True)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 400])
def test_pages_fit_their_screen_load_nothing_and_have_no_serious_finding(browser: Any, axe: str, site: str, width: int, scheme: str) -> None:
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
    page = context.new_page()
    loaded, complaints, found = [], [], {}
    page.on("request", lambda request: loaded.append(request.url))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    for name in PAGES:
        page.goto(f"{site}/{name}.html", wait_until="networkidle")
        wide = page.evaluate("document.documentElement.scrollWidth") > width
        serious = serious_findings(page, axe)
        if wide or serious:
            found[name] = (wide, serious)
    assert not found
    assert not complaints
    assert not [url for url in loaded if not url.startswith((site, "data:", "blob:"))]
    context.close()


def test_a_word_leads_to_its_meaning(browser: Any, site: str) -> None:
    page = browser.new_page()
    page.goto(f"{site}/v-probing.html")
    link = page.locator("a.word").filter(has_text="balanced accuracy").or_(page.locator("a.word").filter(has_text="Balanced accuracy")).first
    link.click()
    page.wait_for_url("**/words.html#word-balanced-accuracy")
    assert page.locator("#word-balanced-accuracy").is_visible()
    page.close()
