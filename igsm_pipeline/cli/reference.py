"""The reference pages of the documentation, written from what the program itself declares: settings, tables, commands.

``docs/hooks.py`` calls it while the site is built, so that no page can lag behind.

Ours: all of it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, get_args

import typer
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from igsm_pipeline.catalog.catalog import describe_views
from igsm_pipeline.cli.python_page import python_page
from igsm_pipeline.experiments.experiment import ExperimentSettings
from igsm_pipeline.planning.flow import STAGES
from igsm_pipeline.settings import Settings


def settings_page() -> str:
    """Every setting of an experiment file by section: its type, its default, its rule and what it is."""
    parts = [
        "# Settings",
        "What an experiment file may hold, section by section. A setting that is left out has its default; an unknown one is refused.",
    ]
    for name, field in ExperimentSettings.model_fields.items():
        section = _settings_class(field)
        parts.append(f"## {name}")
        if section is None:
            parts.append(_table(("setting", "type", "default", "what it is"), [_setting(name, field)]))
            continue
        parts += [_prose(section), _table(("setting", "type", "default", "what it is"), [_setting(*one) for one in section.model_fields.items()])]
    return "\n\n".join(parts) + "\n"


def tables_page() -> str:
    """Every table of the catalog and the stage that writes it, with its columns."""
    written = {table.name: stage for stage in STAGES.values() for table in stage.tables}
    parts = ["# Tables", "What `igsm sql` and `igsm.open(...)` read. `igsm.duckdb` in the data folder holds the same tables for any DuckDB client."]
    for name, meaning, columns in describe_views():
        stage = written.get(name)
        source = f"Written by the stage `{stage.name}`." if stage else "Made from the tables of the stages."
        rows = [(f"`{column.name}`", column.meaning) for column in columns]
        parts += [f"## {name}", f"{meaning[0].upper()}{meaning[1:]}. {source}", _table(("column", "meaning"), rows)]
    return "\n\n".join(parts) + "\n"


def stages_page() -> str:
    """Every stage in the order of the data flow: what it does, reads, writes and must hold."""
    parts = ["# Stages", "The pipeline in the order of the data flow. Each is an asset in Dagster and a `--stage` of `igsm run`."]
    for stage in STAGES.values():
        reads = ", ".join(dict.fromkeys(f"`{read.source}`" for read in stage.reads)) or "nothing"
        checks = [(f"`{check.name}`", check.words, "stops the run" if check.blocking else "warns") for check in stage.checks]
        parts += [f"## {stage.name}", f"{stage.words} Reads {reads}. Version {stage.version}."]
        parts += [_table(("check", "what must hold", "if it does not"), checks)] if checks else []
    return "\n\n".join(parts) + "\n"


def commands_page() -> str:
    """Every command of ``igsm`` with its arguments and options."""
    from igsm_pipeline.cli.app import app

    parts = ["# Commands", "Every command answers `--help`, and a wrong word with one line and exit code 2."]
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    for name, command in sorted(group.commands.items()):
        if command.hidden:
            continue
        parts += [f"## igsm {name}", inspect.cleandoc(command.help or "")]
        rows = [_parameter(one) for one in command.params if not getattr(one, "hidden", False)]
        parts += [_table(("argument or option", "default", "what it does"), rows)] if rows else []
    return "\n\n".join(parts) + "\n"


PAGES = {
    "reference/settings.md": settings_page,
    "reference/stages.md": stages_page,
    "reference/tables.md": tables_page,
    "reference/commands.md": commands_page,
    "reference/python.md": python_page,
}
"""Path below docs/ -> the function that writes the page."""


def _settings_class(field: FieldInfo) -> type[Settings] | None:
    found = [one for one in (field.annotation, *get_args(field.annotation)) if inspect.isclass(one) and issubclass(one, Settings)]
    return found[0] if found else None


def _setting(name: str, field: FieldInfo) -> tuple[str, str, str, str]:
    default = field.get_default(call_default_factory=True, validated_data={})
    shown = "must be given" if default is PydanticUndefined else f"`{_plain(default)}`"
    return f"`{name}`", _type(field), shown, field.description or ""


def _plain(value: Any) -> str:
    """A default as an experiment file spells it."""
    if isinstance(value, Settings):
        return "the defaults of its section"
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(_plain, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value) or '""'


def _type(field: FieldInfo) -> str:
    """The type and its rules, such as ``int >= 1``."""
    name = re.sub(r"\w+\.|typing\.", "", inspect.formatannotation(field.annotation)).replace("NoneType", "None")
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    rules = [f"{signs[key]} {getattr(rule, key)}" for rule in field.metadata for key in signs if hasattr(rule, key)]
    return " ".join([f"`{name}`", ", ".join(rules)]).strip()


def _prose(section: type[Settings]) -> str:
    return inspect.getdoc(section) or ""


def _parameter(parameter: Any) -> tuple[str, str, str]:
    if parameter.param_type_name == "option":
        name = ", ".join(f"`{word}`" for word in (*parameter.opts, *parameter.secondary_opts))
    else:
        name = f"`{(parameter.name or '').upper()}`{'...' if parameter.nargs == -1 else ''}"
    default = parameter.default
    shown = "required" if parameter.required else "" if default is None or callable(default) or default in ((), False) else f"`{default}`"
    return name, shown, str(getattr(parameter, "help", "") or "")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    def line(cells: Iterable[str]) -> Iterator[str]:
        yield from (" ".join(cell.split()).replace("|", "\\|") for cell in cells)

    return "\n".join(f"| {' | '.join(line(cells))} |" for cells in (head, ["---"] * len(head), *rows))
