"""Takes the pictures of the pages, by day and by night, wide and narrow: `python -m docs.images.take [report] [player] [play] [docs]`.

Without words it takes all. Needs the package `playwright` and a system's chromium; `docs` needs a built site (`make docs`). Report and player are
those of FOLDER, `play` is the page of `igsm play`.
"""

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.page_load import launched, played
from igsm_pipeline.player.page import player_page

HERE = Path(__file__).parent
FOLDER = HERE.parents[1] / "data" / "published" / "small"
SITE = HERE.parents[1] / "build" / "site"


def draw(page: Page) -> None:
    """Have a problem drawn and solved, and go two sentences on."""
    page.get_by_role("button", name="Draw and solve").click()
    page.wait_for_function("() => !document.querySelector('button[disabled]:not([data-go])')", timeout=60_000)
    page.locator("[data-go^='next sentence']").wait_for()
    for _ in range(2):
        page.locator("[data-go^='next sentence']").click()


def telling(scenes: list[dict[str, Any]]) -> dict[str, Any]:
    """What the player's address asks for: the solved problem of op=max with fewest quantities, and what of it is needed, before the first word."""
    solved = [scene for scene in scenes if scene["kind"] == "solved" and scene["slice"] == "op=max"]
    chosen = min(solved, key=lambda scene: len(scene["parameters"]))
    return {"problem": chosen["id"], "task": "nece", "step": 0}


def take(browser: Browser, name: str, address: str, height: int, act: Callable[[Page], None] = lambda page: None) -> None:
    """Take four pictures of an address, ``NAME-WIDTH-SCHEME.png``.

    Args:
        browser: the browser.
        name: of the pictures.
        address: where the page is.
        height: of the window, in pixels.
        act: what to do on the page before.
    """
    for width in (1400, 400):
        for scheme in ("light", "dark"):
            page = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme).new_page()
            page.goto(address)
            act(page)
            page.screenshot(path=HERE / f"{name}-{width}-{scheme}.png")
            page.context.close()


def main() -> None:
    """Take those that are named, or all."""
    wanted = sys.argv[1:] or ["report", "player", "play", "docs"]
    with sync_playwright() as driver, launched(driver) as browser, tempfile.TemporaryDirectory() as folder:
        if "report" in wanted:
            take(browser, "report", (FOLDER / "report.html").as_uri(), 1000)
        if "player" in wanted:
            page, scenes = Path(folder, "player.html"), json.loads((FOLDER / "player.json").read_text(encoding="utf-8"))
            page.write_text(player_page(f"The player: {FOLDER.name}", scenes), encoding="utf-8")
            take(browser, "player", f"{page.as_uri()}#player?{urlencode(telling(scenes))}", 1360)
        if "docs" in wanted:
            take(browser, "docs", (SITE / "index.html").as_uri(), 900)
        if "play" in wanted:
            with played() as (address, _):
                take(browser, "play", address, 1300, draw)


if __name__ == "__main__":
    main()
