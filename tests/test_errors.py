"""Errors cross processes, and arguments of a wrong kind are named."""

from __future__ import annotations

import copy
import importlib
import pickle
from collections.abc import Iterator

import numpy as np
import pytest

from igsm_pipeline.errors import BadInput, BadSettings, IgsmError, whole_number
from igsm_pipeline.play.live import Refusal
from igsm_pipeline.text import BadSolution, parse_solution


def kinds_below(kind: type[IgsmError]) -> Iterator[type[IgsmError]]:
    for below in kind.__subclasses__():
        yield below
        yield from kinds_below(below)


def made(kind: type[IgsmError]) -> IgsmError:
    if issubclass(kind, BadSolution):
        return kind("must continue", "some text", 5, 2)
    if issubclass(kind, Refusal):
        return kind(BadInput("text", "must be a problem", "x", "correct it"), (3, 9))
    return kind("field", "must be 1", 2, "write 1") if issubclass(kind, BadInput) else kind("it failed")


def test_every_kind_of_error_survives_pickle_and_copy() -> None:
    for module in ("training.processes", "text.parsing", "store.locks"):
        importlib.import_module(f"igsm_pipeline.{module}")
    kinds = {kind for kind in kinds_below(IgsmError) if kind.__module__.startswith("igsm_pipeline.")}
    assert len(kinds) >= 13
    for kind in kinds:
        error = made(kind)
        for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
            assert type(again) is kind
            assert (str(again), again.args, vars(again)) == (str(error), error.args, vars(error))


def test_a_broken_solution_keeps_its_place_when_it_is_pickled() -> None:
    with pytest.raises(BadSolution) as caught:
        parse_solution(" Define Bag's Pen as s; so s = 3. Nonsense")
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.position, again.sentence, again.field, again.got) == (33, 1, "solution, sentence 1, character 33", " Nonsense")


@pytest.mark.parametrize("value", [True, 2.0, "2", None, [2], 0, 10, np.array([1, 2])], ids=repr)
def test_what_is_no_whole_number_in_bounds_is_refused_by_name(value: object) -> None:
    with pytest.raises(BadInput, match=r"number must be a whole number from 1 to 9, got .*; count them"):
        whole_number("number", value, 1, 9, "count them")
    with pytest.raises(BadSettings, match="number must be a whole number of 11 or more"):
        whole_number("number", value, 11, None, "count them", BadSettings)


def test_whole_numbers_of_numpy_become_ints() -> None:
    assert type(whole_number("number", np.int8(3), 1, 9, "")) is int
