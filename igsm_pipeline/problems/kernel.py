"""How this package compiles: one decorator, and the types that kernels speak in."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, overload

import numpy as np
from numba import config, njit
from numpy.typing import NDArray

from igsm_pipeline.errors import IgsmError
from igsm_pipeline.store import find_home

P = ParamSpec("P")
R = TypeVar("R")

Ints = NDArray[np.int64]
Words = NDArray[np.uint64]
Bytes = NDArray[np.uint8]
Int = Any
"""An integer: int64 compiled, Python's or numpy's where compilation is off."""
Bool = Any
"""Likewise a truth value."""
Row = Any
"""One row of a ``RECORD`` array; numba reads its fields as attributes, numpy types do not know them."""


CACHE = ".numba"
PACKAGE = Path(__file__).parents[1]
_IMPORTS = re.compile(r"^from igsm_pipeline\.([\w.]+) import (\([^)]*\)|.*)", re.MULTILINE)
_SPEAKS_KERNEL = re.compile(r"problems\.kernel import|^[A-Z_]+\b.* = .*\d", re.MULTILINE)


@overload
def kernel(function: Callable[P, R]) -> Callable[P, R]: ...


@overload
def kernel(**options: Any) -> Callable[[Callable[P, R]], Callable[P, R]]: ...


def kernel(function: Callable[P, R] | None = None, **options: Any) -> Any:
    """Compile with numba, cached on disk; with NUMBA_DISABLE_JIT=1 the function stays plain Python. Options are those of ``numba.njit``.

    Ours: numba takes a cached kernel for good as long as the file that it stands in is unchanged, though kernels and constants of other files
    are compiled into it. Here a change of any of these makes it stale too, and a touched file does not. Where neither the package's folder nor
    the user's can be written (a container), kernels are cached under the data root, or else compiled anew by every process.
    """
    if function is None:
        return partial(kernel, **options)
    compiled = _compiled(function, options)
    file = getattr(getattr(compiled, "_cache", None), "_cache_file", None)
    if file is not None:
        file._source_stamp = hash_sources(Path(function.__code__.co_filename))
        file._load_index = partial(_index_or_nothing, file._load_index)
    return compiled


def _index_or_nothing(load: Callable[[], dict[Any, Any]]) -> dict[Any, Any]:
    """What a cache holds; nothing where it names a module that has moved since, or cannot be read: the kernel is then compiled anew."""
    try:
        return load()
    except Exception:  # unpickling raises whatever the classes that it meets raise
        return {}


def _compiled(function: Callable[..., Any], options: dict[str, Any]) -> Any:
    """The compiled function, cached where a cache can be written."""
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # numba finds no folder that it may write
        if not _cache_under_the_data_root():
            return njit(**options)(function)
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:
        return njit(**options)(function)


def _cache_under_the_data_root() -> bool:
    """Let numba, in this process and its children, keep its cache under the data root; False where there is none or it cannot be written."""
    try:
        folder = find_home() / CACHE
        folder.mkdir(parents=True, exist_ok=True)
    except (IgsmError, OSError):
        return False
    os.environ["NUMBA_CACHE_DIR"] = config.CACHE_DIR = str(folder)
    return True


@lru_cache(maxsize=256)
def hash_sources(path: Path, package: Path = PACKAGE) -> str:
    """SHA-256 of a source file and of all that it imports from the package, directly or not, as far as these hold kernels or constants."""
    found, open_ = {path}, [path]
    while open_:
        for module, names in _IMPORTS.findall(_read(open_.pop())):
            parts = module.split(".")
            inner = [package.joinpath(*parts, f"{name}.py") for name in re.findall(r"\w+", names)]
            for one in (package.joinpath(*parts).with_suffix(".py"), *inner):
                if one not in found and one.is_file() and _SPEAKS_KERNEL.search(_read(one)):
                    found.add(one)
                    open_.append(one)
    return hashlib.sha256("".join(_read(one) for one in sorted(found)).encode()).hexdigest()


@lru_cache(maxsize=256)
def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""
