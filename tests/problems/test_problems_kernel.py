"""A cached kernel is used exactly as long as everything that is compiled into it is unchanged."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import igsm_pipeline
from igsm_pipeline.problems.kernel import hash_sources

DRAW = """
import numpy as np
from igsm_pipeline.problems.law.blocks import _draw_targets
targets = np.zeros(500, np.int64)
_draw_targets(np.arange(1, 5, dtype=np.uint64), 9, False, targets)
print(sorted(set(targets.tolist())), sum(_draw_targets.stats.cache_hits.values()))
"""


def write(package: Path, **sources: str) -> None:
    (package / "problems").mkdir(parents=True, exist_ok=True)
    for name, source in sources.items():
        (package / "problems" / f"{name}.py").write_text(source)


def hash_of(package: Path) -> str:
    hash_sources.cache_clear()
    sys.modules[hash_sources.__module__]._read.cache_clear()
    return hash_sources(package / "problems" / "top.py", package)


def test_the_hash_follows_imports_to_kernels_and_constants_and_no_further(tmp_path: Path) -> None:
    kernels = "from igsm_pipeline.problems.kernel import kernel\n"
    write(
        tmp_path, top=kernels + "from igsm_pipeline.problems.middle import (\n    one,\n    two,\n)\nfrom igsm_pipeline.problems import words\n",
        middle=kernels + "from igsm_pipeline.problems.numbers import SIZE\n", numbers="SIZE = 4\n", words="names = []\n", other=kernels,
    )  # fmt: skip
    first = hash_of(tmp_path)
    write(tmp_path, words="names = ['a']\n", other="SIZE = 9\n")
    assert hash_of(tmp_path) == first
    write(tmp_path, numbers="SIZE = 5\n")
    second = hash_of(tmp_path)
    assert second != first
    write(tmp_path, middle=kernels + "from igsm_pipeline.problems.numbers import SIZE  # again\n")
    assert hash_of(tmp_path) not in (first, second)


def test_a_kernel_is_compiled_again_when_one_that_it_calls_changes_and_only_then(tmp_path: Path) -> None:
    shutil.copytree(Path(igsm_pipeline.__file__).parent, tmp_path / "igsm_pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    environment.pop("NUMBA_DISABLE_JIT", None)

    def draw() -> str:
        return subprocess.run([sys.executable, "-c", DRAW], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True).stdout.strip()

    assert draw() == f"{list(range(1, 10))} 0"
    (tmp_path / "igsm_pipeline" / "problems" / "law" / "blocks.py").touch()
    assert draw() == f"{list(range(1, 10))} 1"
    path = tmp_path / "igsm_pipeline" / "problems" / "law" / "random.py"
    text, body = path.read_text(), "    return np.int64(((next64(state) >> _U(32)) * _U(n)) >> _U(32))\n"
    assert body in text
    path.write_text(text.replace(body, "    return np.int64(n - 1)\n"))
    assert draw() == "[9] 0"


COMPILED = """
from igsm_pipeline.problems.kernel import kernel

@kernel
def double(number):
    return 2 * number

assert double(21) == 42
print(sum(double.stats.cache_misses.values()), sum(double.stats.cache_hits.values()))
"""


@pytest.mark.parametrize("home", ["data root", "file", None])
def test_kernels_compile_where_neither_the_package_nor_the_user_has_a_folder_to_write(tmp_path: Path, home: str | None) -> None:
    """numba is told to look nowhere but at NUMBA_CACHE_DIR, which is not set: what it finds in a container with no HOME and a read-only package."""
    (tmp_path / "file").touch()
    (tmp_path / "kernels.py").write_text(COMPILED)
    unset = ("IGSM_HOME", "NUMBA_CACHE_DIR", "NUMBA_DISABLE_JIT")
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    environment["NUMBA_CACHE_LOCATOR_CLASSES"] = "UserProvidedCacheLocator"
    if home is not None:
        environment["IGSM_HOME"] = str(tmp_path / home)
    counts = [
        subprocess.run([sys.executable, "kernels.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True).stdout.split()
        for _ in range(2)
    ]
    kept = home == "data root"
    assert counts == ([["1", "0"], ["0", "1"]] if kept else [["1", "0"], ["1", "0"]])
    assert any((tmp_path / "data root").rglob("*.nbi")) == kept
