"""How long pages take to appear in a browser: the reports of published models, the play page, the documentation site.

    python -m benchmarks.page_load [--rounds 5] [--docs build/site]

Headless Chromium (the package ``playwright`` and a system's chromium), a fresh context for each load; medians. "first paint" is the browser's first
contentful paint, "loaded" the end of its load event, both from the start of the navigation. Of `igsm play` also: seconds from the command to
the address, and to the first problem that the model has solved live with its whole mind, and the seconds of the next five. The last line is one JSON
object.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Playwright, sync_playwright

from igsm_pipeline.store.origin import own_revision, processor_name

PUBLISHED = Path("data/published")
CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
TIMES = """() => {
  const paint = performance.getEntriesByName("first-contentful-paint")[0];
  return [paint ? paint.startTime : null, performance.getEntriesByType("navigation")[0].loadEventEnd];
}"""
WIDTHS = (1400, 400)


def load(browser: Browser, address: str, width: int, rounds: int) -> dict[str, float]:
    """Median milliseconds of first paint and of the end of loading."""
    found = []
    for _ in range(rounds):
        context = browser.new_context(viewport={"width": width, "height": 900})
        page = context.new_page()
        page.goto(address, wait_until="load")
        page.wait_for_function('() => performance.getEntriesByName("first-contentful-paint").length > 0')
        found.append(page.evaluate(TIMES))
        context.close()
    paint, loaded = (statistics.median(times) for times in zip(*found, strict=True))
    return {"first_paint_ms": round(paint), "loaded_ms": round(loaded)}


@contextmanager
def launched(driver: Playwright) -> Iterator[Browser]:
    """A headless Chromium of the system's."""
    if CHROMIUM is None:
        raise SystemExit("no Chromium on this machine: apt-get install chromium")
    browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"])
    yield browser
    browser.close()


@contextmanager
def played() -> Iterator[tuple[str, float]]:
    """The address of `igsm play` and the seconds until it was told."""
    started = time.monotonic()
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "igsm_pipeline.cli", "play", "--port", "8931"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            address = next(word for line in process.stdout for word in line.split() if word.startswith("http://"))
            yield address.rstrip("/"), time.monotonic() - started
        finally:
            process.terminate()


def draw(address: str, seed: int) -> float:
    """Seconds until a problem is drawn, solved and read by every probe."""
    body = json.dumps({"family": "own", "op": 5, "seed": seed}).encode()
    asked = urllib.request.Request(f"{address}/draw", body, {"Content-Type": "application/json", "Origin": address})
    started = time.monotonic()
    with urllib.request.urlopen(asked, timeout=300) as reply:
        scene = json.load(reply)["scene"]
    assert scene["parameters"]
    return time.monotonic() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--docs", type=Path, default=Path("build/site"))
    options = parser.parse_args()
    told: dict[str, Any] = {"commit": own_revision(), "processor": processor_name(), "load": os.getloadavg()[0], "pages": {}}
    with sync_playwright() as driver, launched(driver) as browser, played() as (address, until_address):
        began = time.monotonic() - until_address
        first = draw(address, 0)
        live = {"address_s": until_address, "first_live_problem_s": time.monotonic() - began, "first_request_s": first}
        live["next_s"] = statistics.median(draw(address, seed) for seed in range(1, 6))
        told["play"] = {name: round(value, 2) for name, value in live.items()}
        print(f"igsm play: {told['play']}", flush=True)
        pages = {f"report of {path.parent.name}": path for path in sorted(PUBLISHED.glob("*/report.html"))}
        if (options.docs / "index.html").exists():
            pages["documentation"] = options.docs / "index.html"
        addresses = {name: path.resolve().as_uri() for name, path in pages.items()} | {"play page": address}
        for name, where in addresses.items():
            size = pages[name].stat().st_size if name in pages else None
            for width in WIDTHS:
                found = {"bytes": size, "width": width, **load(browser, where, width, options.rounds)}
                told["pages"][f"{name} {width}"] = found
                of = f"{size / 1e6:.2f} MB" if size else ""
                times = f"first paint {found['first_paint_ms']:>5} ms, loaded {found['loaded_ms']:>5} ms"
                print(f"{name:<24}{width:>6} px {of:>10}  {times}", flush=True)
    print(f"load {told['load']:.1f} at the start")
    print(json.dumps(told))


if __name__ == "__main__":
    main()
