"""Every code block of README and of the documentation does what the page says, or says why no test runs it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytest.importorskip("sybil", reason="sybil is not installed: pip install -e '.[test]'")
from reference.doc_blocks import NOT_CODE, PAGES, ROOT, RUN, blocks_of, read_page, run_page

QUICK = ("docs/tutorial-model.md",)
"""Pages that need nothing but the published model and no command."""


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


WITH_CODE = [page for page in PAGES if set(blocks_of(page)) & {*RUN, "diff"}]


def published_in(folder: Path) -> None:
    """Give a data root a copy of the published model."""
    shutil.copytree(ROOT / "data" / "published" / "small", folder / "published" / "small")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_says_its_language_and_no_command_hides_in_indented_text(page: Path) -> None:
    assert set(blocks_of(page)) <= {*RUN, *NOT_CODE, "diff"}
    assert not [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith(("    igsm ", "    make ", "    pip "))]


@pytest.mark.parametrize("page", WITH_CODE, ids=name_of)
def test_every_block_that_no_test_runs_has_a_reason(page: Path) -> None:
    for example in read_page(page).examples():
        if isinstance(example.parsed, tuple) and example.parsed[0] in ("next", "start"):
            assert example.parsed[1] is not None, f"{page}:{example.line}"
            assert len(example.parsed[1].strip("\"'")) > 10


@pytest.mark.parametrize("page", [page for page in WITH_CODE if name_of(page) in QUICK], ids=name_of)
def test_blocks_about_the_published_model_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published_in(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IGSM_HOME", str(tmp_path / "data"))
    ran, left = run_page(page)
    assert ran
    assert not left


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in WITH_CODE if name_of(page) not in QUICK], ids=name_of)
def test_blocks_run_in_a_project_with_a_finished_member(page: Path, tiny_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published_in(tiny_home)
    work = tmp_path / "work"
    work.mkdir()
    (work / "data").symlink_to(tiny_home)
    monkeypatch.chdir(work)
    monkeypatch.setenv("IGSM_HOME", str(tiny_home))
    ran, left = run_page(page)
    assert ran + len(left) == len([one for one in blocks_of(page) if one not in NOT_CODE])
