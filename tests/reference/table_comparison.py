"""What two tables of one problem say, in a form that does not depend on how each numbers its parameters."""

from __future__ import annotations

from igsm_pipeline.problems.problem import Problem
from igsm_pipeline.verification.lookup import Tables, tables_of

Meaning = dict[str, tuple[frozenset[str], int | None, int]]


def meaning(tables: Tables, names: list[str]) -> Meaning:
    """Name -> parents by name, value, whether it is unnecessary."""
    known = {name: tables.known[name] for name in names}
    bits = {one.bit: name for name, one in known.items()}
    assert len(bits) == len(names), "two parameters of one number"
    return {
        name: (frozenset(bits[1 << place] for place in range(one.parents.bit_length()) if one.parents >> place & 1), one.value, one.unnecessary)
        for name, one in known.items()
    }


def check_same(quick: Tables, problem: Problem, others: list[str]) -> None:
    """Assert that tables say what the problem says, and know none of the other names that it has not."""
    careful = tables_of(problem)
    names = sorted(careful.known)
    assert (quick.query, quick.answer, quick.op, quick.modulus) == (careful.query, careful.answer, careful.op, careful.modulus)
    assert meaning(quick, names) == meaning(careful, names)
    for name in set(others) - set(names):
        try:
            found = quick.known[name]
        except KeyError:
            continue
        raise AssertionError(f"{name} is no parameter, and is known as {found}")
