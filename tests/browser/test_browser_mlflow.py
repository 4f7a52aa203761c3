"""A person who opens MLflow at the address that `igsm ui` prints sees members side by side, by what they show in the end."""

import pytest
from reference.served_pages import LONG_S

from igsm_pipeline.defs.tracking.addresses import clean_name
from igsm_pipeline.defs.tracking.members_view import COLUMNS
from igsm_pipeline.defs.tracking.runs import Tracking

pytestmark = [pytest.mark.slow, pytest.mark.browser]
SCREEN = {"width": 1900, "height": 900}
SHARES = {"worse": 0.25, "better": 0.75}


def test_members_stand_in_a_table_the_best_first(browser, pages):
    tracking = Tracking()
    client = tracking.client()
    for name, share in SHARES.items():
        run = client.create_run(tracking.experiment_id(client), run_name=name).info.run_id
        for column in COLUMNS:
            client.log_metric(run, clean_name(f"final/{column}"), share)
        client.set_terminated(run)
    page = browser.new_page(viewport=SCREEN)
    page.set_default_timeout(1000 * LONG_S / 3)
    page.goto(pages.mlflow)
    table = page.get_by_role("grid")
    table.get_by_text(clean_name(f"final/{COLUMNS[0]}"), exact=True).wait_for()
    table.get_by_text("0.75", exact=True).first.wait_for()
    rows = table.get_by_role("row").all_inner_texts()
    first, second = (next(number for number, row in enumerate(rows) if str(share) in row) for share in (0.75, 0.25))
    assert first < second
    assert table.get_by_role("link", name="better").is_visible()
    assert page.get_by_text("One run per trained checkpoint").first.is_visible()
    assert "Error loading shared view" not in page.content()
    page.close()
