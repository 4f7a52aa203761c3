"""The chapter on interchange says where the choice lies from the numbers, and shows the claim that was stated before."""

from __future__ import annotations

from typing import Any

from reference.written_chapter import written_chapter

from igsm_pipeline.reports.page import Page
from igsm_pipeline.reports.sections.using import write_using

SWAPS = {
    "twin": {"question": (1.0, 0.95, 0.1), "after": (0.0, 0.2, 0.97), "define": (0.0, 0.1, 0.3)},
    "unrelated": {"question": (0.04, 0.0, 0.0), "after": (0.0, 0.17, 0.0), "define": (0.0, 0.0, 0.0)},
}


def rows(swaps: dict[str, dict[str, tuple[float, ...]]]) -> list[dict[str, Any]]:
    return [
        {
            "donor": donor, "place": place, "layer": layer, "n": 500, "swapped": value, "swapped_low": max(0.0, value - 0.02),
            "swapped_high": min(1.0, value + 0.02),
            **{f"{name}{end}": 0.0 for name in ("kept", "shift") for end in ("", "_low", "_high")},
        }
        for donor, places in swaps.items()
        for place, values in places.items()
        for layer, value in enumerate(values)
    ]  # fmt: skip


def written(table: list[dict[str, Any]], **experiment: Any) -> tuple[Page, str]:
    return written_chapter(write_using, {"interchange": table}, experiment)


def test_it_says_which_layers_and_places_carry_the_choice_and_how_far_controls_come() -> None:
    page, text = written(rows(SWAPS), interchange={"claim": "that it moves <early>."})
    assert "from layer 0 to 1 it lies in the states of the question (exchanged at layer 1: 95.0 %" in text
    assert "at layer 2 it lies in the states of what comes after the question (exchanged at layer 2: 97.0 %" in text
    assert "first words alone" not in text
    assert "carries it alone" not in text
    assert "Controls reach 17.0 %" in text
    assert "(an unrelated problem, all but question, layer 1)" in text
    assert "Stated before it was run: that it moves &lt;early&gt;." in text
    assert set(page.charts) == {"interchange_twin", "interchange_unrelated"}
    columns = [value["x"] for value in page.charts["interchange_twin"].spec["datasets"].popitem()[1]] if "datasets" in str(page.charts) else None
    assert columns is None or columns[0] == "question"


def test_layers_where_only_everything_together_swaps_are_named() -> None:
    swaps = {"twin": {"question": (1.0, 0.1, 0.1, 0.0), "after": (0.0, 0.3, 0.3, 1.0), "define": (0.0, 0.0, 0.2, 1.0), "all": (1.0, 1.0, 1.0, 1.0)}}
    assert "at layers 1 and 2 neither the question nor all that follows it carries it alone" in written(rows(swaps))[1]


def test_no_carrying_place_is_said_and_no_pairs_are_listed_as_missing() -> None:
    weak = {donor: {place: tuple(0.5 * value for value in values) for place, values in places.items()} for donor, places in SWAPS.items()}
    assert "No single place carries what the model computes first for 90% of 500 pairs." in written(rows(weak))[1]
    for experiment, why in (({}, "interchange.pairs is 0"), ({"interchange": {"pairs": 8}}, "it begins 8 problems alike, whatever is asked")):
        page, _ = written([], **experiment)
        assert page.charts == {}
        assert any(why in reason for _, reason in page.what_is_missing())
