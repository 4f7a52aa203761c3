"""Solutions parse into steps that render back, and a broken one is refused with its position."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from igsm_pipeline.text import BadSolution, Sentence, Step, parse_solution, render_sentences, render_solution, solution_sentences
from tests.reference.random_problems import LENIENT, PLAIN, problems


@pytest.mark.parametrize("world", [PLAIN, LENIENT], ids=["plain", "lenient"])
def test_parsing_a_rendered_solution_gives_its_sentences(world):
    @settings(max_examples=100, deadline=None)
    @given(problems(world))
    def check(problem):
        text = render_solution(problem)
        sentences = parse_solution(text)
        assert sentences == solution_sentences(problem)
        assert render_sentences(sentences) == text
        assert sum(len(sentence.steps) for sentence in sentences) == text.count(";") == problem.op
        assert parse_solution(text.encode()) == sentences

    check()


def test_the_parts_of_a_sentence():
    text = " Define A B's C as v; t = 12 * q = 12 * 3 = 7; so v = t - 0 = 7 - 0 = 7. Define D's E as w; so w = v = 7. Define F's G as x; so x = 0."
    assert parse_solution(text) == (
        Sentence("A B's C", "v", (Step("t", (12, "q"), "*", (12, 3), 7), Step("v", ("t", 0), "-", (7, 0), 7))),
        Sentence("D's E", "w", (Step("w", ("v",), "", (), 7),)),
        Sentence("F's G", "x", (Step("x", (), "", (), 0),)),
    )


GOOD = " Define A's B as v; t = a + b = 1 + 2 = 3; so v = t = 3."


@pytest.mark.parametrize(
    ("text", "position", "sentence"),
    [
        ("", 0, 0),
        (GOOD[1:], 0, 0),
        (GOOD[:-1], 43, 0),
        (GOOD + " ", 56, 1),
        (GOOD + GOOD.replace("so v", "so w"), 56 + 43, 1),
        (GOOD.replace("1 + 2", "1 - 2"), 20, 0),
        (GOOD.replace("= 3;", "= 03;"), 20, 0),
        (GOOD.replace("= 3;", f"= {'3' * 6000};"), 20, 0),
        (GOOD.replace("t = a + b = 1 + 2 = 3; ", "t = 3; "), 20, 0),
        (GOOD.replace("t = 3.", "3 = 3."), 43, 0),
        (" Define A as b. Define C as d; so d = 1.", 0, 0),
        (" Define  as d; so d = 1.", 0, 0),
        (" Define A as dd; so dd = 1.", 0, 0),
    ],
)
def test_a_broken_solution_is_refused_with_its_position(text, position, sentence):
    with pytest.raises(BadSolution, match=f"sentence {sentence}, character {position} must") as caught:
        parse_solution(text)
    assert (caught.value.position, caught.value.sentence) == (position, sentence)


FRAGMENTS = [" Define ", "A's B", " as ", "v", "; ", "t", " = ", "a", " + ", "1", "so ", ".", " "]


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(), st.binary(), st.lists(st.sampled_from(FRAGMENTS)).map("".join)))
def test_any_text_parses_to_its_own_rendering_or_gives_the_one_error(text):
    try:
        sentences = parse_solution(text)
    except BadSolution as error:
        position = error.position
    else:
        position = 0
        assert render_sentences(sentences) == (text.decode("utf-8", "surrogateescape") if isinstance(text, bytes) else text)
    assert 0 <= position <= len(text)
