"""The examples in the docstrings of functions that a notebook calls say what happens."""

from __future__ import annotations

import doctest
from importlib import import_module

import pytest

FUNCTIONS = {
    "problems.law.blocks": ("family_by_name", "generate", "generate_block", "regenerate"),
    "text.rendering": ("document", "render_question"),
    "verification.verifier": ("verify",),
    "world.world": ("load_world",),
    "text.parsing": ("parse_problem",),
    "text.solution": ("parse_solution",),
    "tokens.table": ("build_table",),
    "tokens.emission": ("emit",),
    "queries.draw": ("draw_queries", "list_queries"),
    "queries.labels": ("label_query",),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_example_says_what_happens(name: str) -> None:
    module = import_module(f"igsm_pipeline.{name}")
    for function in FUNCTIONS[name]:
        examples = doctest.DocTestFinder().find(getattr(module, function), function, module=module, globs=dict(vars(module)))
        assert any(example.examples for example in examples), f"{function} has no example"
        for example in examples:
            assert doctest.DocTestRunner().run(example).failed == 0
