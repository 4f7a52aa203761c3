"""The worked examples of docs/extending.md, carried out in a copy of the package."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import igsm_pipeline

ROOT = Path(igsm_pipeline.__file__).parents[1]
_BLOCK = re.compile(r"   ```(diff|python)\n(.*?)   ```\n", re.DOTALL)


def copy_with(folder: Path, *sections: str) -> list[str]:
    """Copy the package into a folder and carry out sections of the page there; returns the files that they name, in order."""
    shutil.copytree(ROOT / "igsm_pipeline", folder / "igsm_pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    files = []
    for section in sections:
        text = (ROOT / "docs" / "extending.md").read_text().split(f"\n## {section}\n")[1].split("\n## ")[0]
        for step in re.split(r"\n\d\. ", text)[1:]:
            named = re.match(r"`([^`]+)`", step)
            assert named is not None, step
            files.append(named[1])
            for kind, block in _BLOCK.findall(step):
                _carry_out(folder / named[1], kind, [line.removeprefix("   ") for line in block.splitlines()])
    return files


def _carry_out(path: Path, kind: str, lines: list[str]) -> None:
    """Write a new file, or replace the lines of a diff, which must stand in the file once."""
    if kind == "python":
        assert not path.exists(), path
        path.write_text("\n".join(lines) + "\n")
        return
    before, after = ("\n".join(line[1:] for line in lines if line[:1] in marks) for marks in (" -", " +"))
    text = path.read_text()
    assert text.count(before) == 1, (path, before)
    path.write_text(text.replace(before, after))


def run_in(folder: Path, *command: str, **more: str) -> str:
    """Run Python with the copy as the package and a data root beside it; returns what it prints."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "IGSM_HOME": str(folder / "home"), "NUMBA_DISABLE_JIT": "1"} | more
    environment.pop("IGSM_EXPERIMENTS", None)
    done = subprocess.run([sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
