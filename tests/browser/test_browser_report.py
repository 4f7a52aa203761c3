"""The report in a browser: nothing loaded, every figure drawn, on wide and narrow screens, by day and night, without scripts and on paper."""

import pytest
from reference.accessibility import serious_findings
from reference.tiny_experiment import MEMBER

from igsm_pipeline.cli import main

pytestmark = [pytest.mark.slow, pytest.mark.browser]


@pytest.fixture
def report(tiny_home, capsys):
    """The finished report's path."""
    with pytest.raises(SystemExit) as ended:
        main(["report", MEMBER])
    assert not ended.value.code
    return capsys.readouterr().out.strip()


@pytest.fixture
def look(browser, report):
    """Opens the report offline; what it asked for and complained of is noted in the tab."""
    contexts = []

    def opened(width=1400, scheme="light", **options):
        context = browser.new_context(offline=True, color_scheme=scheme, viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.requested, page.complaints = [], []
        page.on("request", lambda request: page.requested.append(request.url))
        page.on("console", lambda message: page.complaints.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.goto(f"file://{report}")
        return page

    yield opened
    for context in contexts:
        context.close()


def draw_all(page):
    """Bring every chart into view, so that each is drawn live."""
    for place in page.locator("[data-chart]").all():
        place.scroll_into_view_if_needed()
    page.wait_for_function("document.querySelectorAll('.chart.drawn').length === document.querySelectorAll('[data-chart]').length")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 400])
def test_the_report_opens_offline_without_errors_and_fits_its_screen(look, report, width, scheme):
    page = look(width, scheme)
    draw_all(page)
    assert [url for url in page.requested if not url.startswith("data:")] == [f"file://{report}"]
    assert not page.complaints
    assert page.locator("[data-chart]").count() >= 8
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "no table, no chart is wider than its page"
    for place in page.locator("[data-chart] .live svg").all():
        assert 100 < place.bounding_box()["width"] <= width
    links = page.locator("nav a")
    assert links.count() >= 6
    for link in links.all():
        assert page.locator(link.get_attribute("href")).count() == 1


def test_hovering_a_mark_says_its_interval_and_n(look):
    page = look()
    draw_all(page)
    page.locator("[data-chart=accuracy] .live path[role=graphics-symbol]").first.hover()
    tip = page.locator("#vg-tooltip-element")
    tip.wait_for()
    assert "95%" in tip.inner_text()
    assert " to " in tip.inner_text()


def test_the_player_steps_inside_the_report(look):
    page = look()
    player = page.locator("#player")
    assert player.locator("select option").count() >= 1
    player.get_by_role("button", name="reference", exact=True).click()  # a model of twelve steps writes no sentence of its own
    before = player.inner_text()
    player.get_by_text("▶", exact=True).click()
    assert player.inner_text() != before


def test_without_scripts_every_figure_is_drawn(look):
    page = look(java_script_enabled=False)
    drawings = page.locator("[data-chart] > svg")
    assert drawings.count() == page.locator("[data-chart]").count() >= 8
    assert all(one.bounding_box()["width"] > 100 for one in drawings.all())


def test_on_paper_the_drawings_stand_and_the_links_do_not(look):
    page = look()
    draw_all(page)
    page.emulate_media(media="print")
    assert page.locator("[data-chart=accuracy] > svg").is_visible()
    assert not page.locator("[data-chart=accuracy] .live").is_visible()
    assert not page.locator("nav").is_visible()


def test_tables_open_by_keyboard(look):
    page = look()
    fold = page.locator("details").first
    fold.locator("summary").focus()
    page.keyboard.press("Enter")
    assert fold.locator("table").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 400])
def test_axe_has_no_serious_finding(look, axe, width, scheme):
    page = look(width, scheme)
    draw_all(page)
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert serious_findings(page, axe) == []
