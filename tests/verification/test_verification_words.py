"""Every kind of first error is told in words, and the label and the sentence of a kind are of that kind alone."""

from __future__ import annotations

from igsm_pipeline.verification import ERRORS_TOLD, Error, error_label


def test_every_error_has_a_short_label_and_a_sentence_of_its_own() -> None:
    assert set(ERRORS_TOLD) == set(Error)
    for texts in zip(*ERRORS_TOLD.values(), strict=True):
        assert len(set(texts)) == len(Error)
    assert all(2 <= len(told.label.split()) <= 4 and len(told.sentence) > len(told.label) for told in ERRORS_TOLD.values())


def test_a_name_of_a_file_gives_its_label_and_an_unknown_one_stays() -> None:
    assert error_label("wrong_value") == ERRORS_TOLD[Error.WRONG_VALUE].label
    assert error_label("of another time") == "of another time"
