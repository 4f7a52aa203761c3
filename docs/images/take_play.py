"""Takes the four pictures of the play page: `python -m docs.images.take_play`, with the package `playwright` and a system's chromium."""

from pathlib import Path

from playwright.sync_api import sync_playwright

from benchmarks.page_load import launched, played

HERE = Path(__file__).parent


def main() -> None:
    """Draw a problem on the page of `igsm play`, go to its second sentence, and take the page by day and by night, wide and narrow."""
    with sync_playwright() as driver, launched(driver) as browser, played() as (address, _):
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


if __name__ == "__main__":
    main()
