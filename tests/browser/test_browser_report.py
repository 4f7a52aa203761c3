"""The report in a browser: no errors, nothing loaded, every figure drawn."""

import pytest
from reference.tiny_experiment import MEMBER

from igsm_pipeline.cli import main

pytestmark = [pytest.mark.slow, pytest.mark.browser]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report_opens_offline_without_errors(browser, tiny_home, capsys, scheme):
    with pytest.raises(SystemExit) as ended:
        main(["report", MEMBER])
    assert not ended.value.code
    path = capsys.readouterr().out.strip()
    context = browser.new_context(offline=True, color_scheme=scheme, viewport={"width": 1200, "height": 900})
    page = context.new_page()
    requests, complaints = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"file://{path}")
    assert [url for url in requests if not url.startswith("data:")] == [f"file://{path}"]
    assert not complaints
    assert page.locator("figure svg").count() >= 4
    assert all(box and box["width"] > 100 for box in (figure.bounding_box() for figure in page.locator("figure > svg").all()))
    assert page.evaluate("document.documentElement.scrollWidth") <= 1200
    links = page.locator("nav a")
    assert links.count() >= 4
    for link in links.all():
        assert page.locator(link.get_attribute("href")).count() == 1
    context.close()
