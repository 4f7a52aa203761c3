"""The code blocks of README and docs/, each run as a reader would run it, at toy size.

A block of a language in ``RUN`` is run. One behind ``<!-- skip: next "why" -->``, or between ``skip: start "why"`` and ``skip: end``, is not, and
says why. Names of experiments that take minutes stand for the tiny member of the tests. YAML whose first line is ``# PATH`` is written there.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from unittest import SkipTest

import yaml
from reference.tiny_experiment import MEMBER
from sybil import Document, Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, SkipParser

from igsm_pipeline.catalog.catalog import ask, build_catalog, open_catalog
from igsm_pipeline.planning.planner import catalog_rows
from igsm_pipeline.store import Store

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^[ ]*```(?P<language>\S*)[^\n]*\n.*?^[ ]*```[ ]*$", re.MULTILINE | re.DOTALL)
NOT_CODE = ("text", "bibtex")
"""What a reader reads and does not run."""
_LONG = re.compile(r'(igsm (?:run|plan|report|publish|status|play|solve --model) |igsm\.open\("|--partition )(mini|small)\b')


def at_toy_size(text: str) -> str:
    """The same text about the tiny member."""
    return _LONG.sub(rf"\g<1>{MEMBER}", text)


def run_python(example: Example) -> None:
    """Run it after the page's earlier Python."""
    exec(compile("\n" * example.line + at_toy_size(example.parsed), str(example.path), "exec"), example.namespace)


def run_bash(example: Example) -> None:
    """Run it in the current folder; ``igsm`` is this Python's, and a command that fails ends it."""
    tools = Path.cwd() / ".tools"
    tools.mkdir(exist_ok=True)
    (tools / "igsm").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m igsm_pipeline.cli "$@"\n')
    (tools / "igsm").chmod(0o755)
    paths = os.pathsep.join([str(tools), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": paths, "PYTHONPATH": str(ROOT)}
    command = ["bash", "-euo", "pipefail", "-c", at_toy_size(example.parsed)]
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{example.path}:{example.line}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"


def run_sql(example: Example) -> None:
    """Ask the catalog of the data root."""
    home = Path(os.environ["IGSM_HOME"])
    build_catalog(catalog_rows(Store(home / "store")), home)
    with open_catalog(home) as connection:
        ask(connection, example.parsed).fetchall()


def read_yaml(example: Example) -> None:
    """Read it; write it where its first line says."""
    assert yaml.safe_load(example.parsed), f"{example.path}:{example.line}"
    named = re.match(r"# (\S+\.ya?ml)\n", example.parsed)
    if named:
        Path(named[1]).parent.mkdir(parents=True, exist_ok=True)
        Path(named[1]).write_text(example.parsed)


RUN: Mapping[str, Callable[[Example], None]] = {"python": run_python, "bash": run_bash, "sql": run_sql, "yaml": read_yaml}


def refuse(example: Example) -> None:
    """Nothing runs it."""
    raise AssertionError(f"{example.path}:{example.line}: no test runs this language; mark the block with a reason")


def read_page(path: Path) -> Document:
    """A page with its blocks."""
    known = [CodeBlockParser(language, run) for language, run in RUN.items()]
    return Sybil([SkipParser(), *known, CodeBlockParser("diff", refuse)]).parse(path)


def run_page(path: Path) -> tuple[int, list[str]]:
    """Run the blocks of a page in the current folder.

    Returns:
        How many were run, and the reasons of the others.
    """
    ran, left = 0, []
    for example in read_page(path).examples():
        before = len(left)
        try:
            example.evaluate()
        except SkipTest as reason:
            left.append(str(reason))
        ran += isinstance(example.parsed, str) and len(left) == before
    return ran, left


def blocks_of(path: Path) -> list[str]:
    """The language of every fenced block of a page, in order; "" where none is said."""
    return [match["language"] for match in FENCE.finditer(path.read_text(encoding="utf-8"))]
