"""The house: every room says what it is for and lists its files, no file is longer than one sitting, docstrings have one form."""

import ast
import re
from pathlib import Path

import pytest

import igsm_pipeline

PACKAGE = Path(igsm_pipeline.__file__).parent
ROOMS = sorted(path.parent for path in PACKAGE.rglob("__init__.py") if path.parent != PACKAGE)
LONGEST = 400


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: str(room.relative_to(PACKAGE)))
def test_every_room_says_what_it_is_for_and_lists_its_files(room: Path) -> None:
    sign = ast.get_docstring(ast.parse((room / "__init__.py").read_text(encoding="utf-8"))) or ""
    assert len(sign.splitlines()[0]) > 20
    within = {path.name for path in room.glob("*.py")} - {"__init__.py", "__main__.py"}
    assert not {name for name in within if name not in sign and f"``{name.removesuffix('.py')}``" not in sign}


def test_no_file_is_longer_than_four_hundred_lines() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in PACKAGE.rglob("*.py")}
    assert not {str(path): lines for path, lines in lengths.items() if lines > LONGEST}


def test_no_section_of_a_docstring_stands_within_another() -> None:
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    within = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, documented):
                found = re.findall(r"^ +(?:Args|Returns|Raises|Yields|Attributes):$", ast.get_docstring(node) or "", re.M)
                within += [f"{path.relative_to(PACKAGE)} {getattr(node, 'name', '')}:{header}" for header in found]
    assert not within


def test_every_log_entry_is_dated_concludes_in_one_line_and_stands_in_the_contents() -> None:
    log = (PACKAGE.parent / "LOG.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| (\S+) \| \[(.+?)\]\(", log, re.M)
    entries = re.findall(r"^###? (?!Contents)(.+)\n\n(.*)", log, re.M)
    assert [f"{date} · {title}" for date, title in listed] == [heading for heading, _ in entries]
    assert not [heading for heading, first in entries if not re.fullmatch(r"\*[^*].*\*", first)]
    assert not [heading for heading, _ in entries if not re.match(r"20\d\d-\d\d-\d\d · ", heading)]
