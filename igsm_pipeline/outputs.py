"""Checks the output files that a user names before the work begins."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from igsm_pipeline.errors import BadSettings


def check_output(path: Path, *, inputs: tuple[Path, ...] = (), option: str = "--out") -> None:
    """Refuse a place where the result cannot be written, or where it would overwrite its own input.

    Args:
        path: the file to write.
        inputs: files that are read for it.
        option: its name in errors.

    Raises:
        BadSettings: it is a folder, its folder does not exist or cannot be written, or it is an input.
    """
    folder = path.parent
    if path.is_dir():
        raise BadSettings(option, "must be a file", str(path), "name a file in that folder")
    if not folder.is_dir():
        raise BadSettings(option, "must lie in a folder that exists", str(path), f"make the folder {folder}, or name another file")
    for other in inputs:
        if path.exists() and other.exists() and path.samefile(other):
            raise BadSettings(option, "must be another file than the input", str(path), "name another file")
    written = path if path.exists() and not path.is_file() else folder
    if not os.access(written, os.W_OK):
        raise BadSettings(option, "must lie where files can be written", str(path), f"change the permissions of {written}, or name another file")
    if written == folder:
        try:
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:  # a folder of the system's, a full disk
            raise BadSettings(option, "must lie where files can be written", str(path), f"name another file ({error.strerror})") from None
    if path.is_file() and not os.access(path, os.W_OK):
        raise BadSettings(option, "must be a file that may be replaced", str(path), "change its permissions, or name another file")


def find_format(path: Path, suffixes: Mapping[str, str], asked: str | None = None, *, option: str = "--out") -> str:
    """The format that a file's suffix stands for, in upper or lower case.

    Args:
        path: the file; a device or a pipe has no suffix and takes the first format.
        suffixes: suffix -> format.
        asked: the format that was asked for; None: the suffix decides.
        option: name of the file in errors.

    Raises:
        BadSettings: the suffix stands for no format, or for another one than was asked for.
    """
    known, suffix = list(suffixes), path.suffix.lower()
    if path.exists() and not path.is_file() and not path.is_dir():
        return asked or suffixes[known[0]]
    if suffix not in suffixes:
        if asked is not None and not suffix:
            return asked
        raise BadSettings(option, f"must end in {' or '.join(known)}", str(path), "name the file so")
    if asked is not None and suffixes[suffix] != asked:
        raise BadSettings(option, f"must end as the format {asked} does", str(path), "change one of the two")
    return suffixes[suffix]
