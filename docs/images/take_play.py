"""Takes the four pictures of the play page: `python docs/images/take_play.py`, with the package `playwright` and a system's chromium."""

import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

HERE = Path(__file__).parent


def main() -> None:
    """Draw a problem on the page of `igsm play`, go to its second sentence, and take the page by day and by night, wide and narrow."""
    with subprocess.Popen([sys.executable, "-m", "igsm_pipeline.cli", "play", "--port", "8941"], stdout=subprocess.PIPE, text=True) as served:
        assert served.stdout is not None
        address = next(word for line in served.stdout for word in line.split() if word.startswith("http://"))
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"])
            for width in (1400, 400):
                for scheme in ("light", "dark"):
                    page = browser.new_context(viewport={"width": width, "height": 1300}, color_scheme=scheme).new_page()
                    page.goto(address)
                    page.get_by_role("button", name="Draw and solve").click()
                    page.wait_for_function("() => !document.querySelector('button[disabled]:not([data-go])')", timeout=60_000)
                    page.locator("[data-go^='next sentence']").wait_for()
                    for _ in range(2):
                        page.locator("[data-go^='next sentence']").click()
                    page.screenshot(path=HERE / f"play-{width}-{scheme}.png")
            browser.close()
        served.terminate()


if __name__ == "__main__":
    main()
