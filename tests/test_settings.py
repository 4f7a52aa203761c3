"""Settings that are made by keywords are refused in the same words as those that are read from a file."""

from __future__ import annotations

import pytest

from igsm_pipeline import FamilySettings
from igsm_pipeline.errors import BadSettings
from igsm_pipeline.problems import ProblemSetSettings


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"op_max": 99}, "FamilySettings: op_max must hold: input should be less than or equal to 52, got 99; correct the value"),
        ({"opmax": 9}, "FamilySettings: opmax must be a known setting, got 9; did you mean op_max or ip_max?"),
        ({"op_max": True}, "FamilySettings: op_max must be no true or false"),
        (
            {"op_max": 20, "ip_max": 30, "num_symbols": 5},
            "FamilySettings: num_symbols must be at least op_max 20, one symbol per operation, got 5; raise",
        ),
    ],
)
def test_a_wrong_keyword_is_refused_by_name_with_a_way_out(values, message):
    with pytest.raises(BadSettings) as caught:
        FamilySettings(**values)
    assert str(caught.value).startswith(message)
    assert "pydantic" not in str(caught.value)


def test_settings_within_settings_keep_their_place_in_the_message():
    with pytest.raises(BadSettings, match=r"^here: family\.op_max must hold: .* got 99; correct the value$"):
        ProblemSetSettings.parse({"family": {"op_max": 99}, "num_problems": 1}, "here")
    with pytest.raises(BadSettings, match=r"^ProblemSetSettings: family\.op_max must hold: .* got 99; correct the value$"):
        ProblemSetSettings(family={"op_max": 99}, num_problems=1)
    family = FamilySettings(op_max=4)
    assert ProblemSetSettings(family=family, num_problems=1).family is family
