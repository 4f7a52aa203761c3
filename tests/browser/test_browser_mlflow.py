"""A person who opens MLflow at the address that `igsm ui` prints sees members side by side, by what they show in the end."""

import pytest
from reference.served_pages import LONG_S
from reference.tiny_experiment import MEMBER

from igsm_pipeline.defs.tracking.addresses import clean_name
from igsm_pipeline.defs.tracking.members_view import COLUMNS

pytestmark = [pytest.mark.slow, pytest.mark.browser]
SCREEN = {"width": 1900, "height": 900}


def test_members_stand_in_a_table_with_their_accuracies(browser, pages):
    page = browser.new_page(viewport=SCREEN)
    page.set_default_timeout(1000 * LONG_S / 3)
    page.goto(pages.mlflow)
    table = page.get_by_role("grid").or_(page.get_by_role("treegrid"))
    table.get_by_text(clean_name(f"final/{COLUMNS[0]}"), exact=True).wait_for()
    table.get_by_role("link", name=MEMBER, exact=True).wait_for()
    assert page.get_by_text("One run per trained checkpoint").first.is_visible()
    assert "does not exist" not in page.content()
    assert "is invalid" not in page.content()
    page.close()
