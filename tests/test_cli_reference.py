"""The reference pages hold every setting, stage, table, column and command that there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer
import yaml

import igsm_pipeline as igsm
from igsm_pipeline.catalog.catalog import describe_views
from igsm_pipeline.cli.app import app
from igsm_pipeline.cli.python_page import markdown_of, python_page
from igsm_pipeline.cli.reference import PAGES, commands_page, settings_page, stages_page, tables_page
from igsm_pipeline.experiments.experiment import ExperimentSettings
from igsm_pipeline.notebook.member import MemberMind
from igsm_pipeline.notebook.mind import Mind
from igsm_pipeline.notebook.probe import Probe
from igsm_pipeline.notebook.published import PublishedMind
from igsm_pipeline.planning.flow import STAGES

ROOT = Path(__file__).parents[1]
PACKAGE = Path(igsm.__file__).parent


def rows_below(page: str, heading: str) -> dict[str, list[str]]:
    """First cell -> the others, of the table below a heading."""
    part = page.split(f"\n## {heading}\n")[1].split("\n## ", maxsplit=1)[0]
    cells = [re.split(r"(?<!\\)\|", line.strip("|")) for line in part.splitlines() if line.startswith("| `")]
    return {row[0].strip(): [cell.strip() for cell in row[1:]] for row in cells}


def test_every_setting_stands_there_with_its_default():
    page, settings = settings_page(), ExperimentSettings()
    for section, values in settings:
        if not hasattr(values, "canonical"):
            continue
        rows = rows_below(page, section)
        assert set(rows) == {f"`{name}`" for name in type(values).model_fields}
        for name, field in type(values).model_fields.items():
            kind, default, words = rows[f"`{name}`"]
            assert kind
            assert words == " ".join((field.description or "").split()).replace("|", "\\|")
            if isinstance(field.default, (int, float, str)) and default != '`""`':
                assert yaml.safe_load(default.strip("`")) == (field.default if field.default != "" else None)


def test_every_stage_check_table_and_column_stands_there():
    stages, tables = stages_page(), tables_page()
    for stage in STAGES.values():
        assert f"\n## {stage.name}\n\n{stage.words}" in stages
        assert set(rows_below(stages, stage.name)) == {f"`{check.name}`" for check in stage.checks}
    for name, _, columns in describe_views():
        assert set(rows_below(tables, name)) == {f"`{column.name}`" for column in columns}


def test_every_command_stands_there_with_its_options():
    page, group = commands_page(), typer.main.get_command(app)
    for name, command in group.commands.items():
        if command.hidden:
            continue
        words = " ".join(rows_below(page, f"igsm {name}"))
        for parameter in command.params:
            if not getattr(parameter, "hidden", False):
                assert all(f"`{word}`" in words for word in parameter.opts if word.startswith("-")), (name, parameter.name)


def test_every_environment_variable_that_the_code_names_stands_in_the_table_and_no_other():
    named = re.compile(r"(?<![A-Z_])IGSM_[A-Z0-9]+(?:_[A-Z0-9]+)*")
    code = {name for path in PACKAGE.rglob("*.py") for name in named.findall(path.read_text(encoding="utf-8"))}
    rows = re.findall(r"^\| (`IGSM_[^|]*) \|", (ROOT / "docs" / "environment.md").read_text(encoding="utf-8"), re.MULTILINE)
    listed = [name for row in rows for name in named.findall(row)]
    assert sorted(listed) == sorted(code)


def test_nothing_says_that_a_package_index_has_this_project():
    texts = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *PACKAGE.rglob("*.py")]
    assert not [str(path) for path in texts if re.search(r"pip install [^\n]*igsm_pipeline", path.read_text(encoding="utf-8"))]


def test_every_name_of_the_package_and_every_method_of_a_mind_stands_there():
    page = python_page()
    assert all(f"### `igsm.{name}`\n" in page for name in igsm.__all__)
    for kind in (Mind, MemberMind, PublishedMind, Probe):
        for name, value in vars(kind).items():
            if not name.startswith("_") and (callable(value) or isinstance(value, property)):
                assert f"#### `{kind.__name__}.{name}`\n" in page
    assert "._" not in "".join(line for line in page.splitlines() if line.startswith("####"))


def test_a_docstring_becomes_prose_lists_and_examples():
    text = "What it gives, in\ntwo lines of ``code``.\n\n>>> 1 + 1\n2\n\nArgs:\n    one: the first,\n        in two lines.\n    two: the second."
    assert list(markdown_of(text)) == [
        "What it gives, in two lines of `code`.",
        "```pycon\n>>> 1 + 1\n2\n```",
        "*Args*",
        "- `one`: the first, in two lines.\n- `two`: the second.",
    ]


@pytest.mark.parametrize("path", PAGES)
def test_the_site_lists_the_page(path: str):
    assert path in (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
