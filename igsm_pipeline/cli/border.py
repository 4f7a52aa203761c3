"""Ends every command: an error that a user can correct becomes two or three lines and exit code 2; only our own bugs show a traceback.

Exit codes: 0 done, 1 a bad result (a stage failed, a solution is wrong) or a bug, 2 refused, 130 / 143 / 129 stopped by SIGINT /
SIGTERM / SIGHUP, 141 the output's reader has gone.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import typer

from igsm_pipeline.cli.app import app
from igsm_pipeline.cli.streams import accept_any_encoding, flush_or_give_up, keep_bars_to_terminals, own_version
from igsm_pipeline.cli.usage import USAGE, usage_lines
from igsm_pipeline.errors import BadInput, IgsmError, StageFailed
from igsm_pipeline.processes.stopping import hear_stops, heard_stop, leave, stop_code

BUG, REFUSED, CLOSED_PIPE = 1, 2, 141
DEBUG = "IGSM_DEBUG"
"""Environment variable: "1" shows the traceback of every error."""

_FOREIGN = {
    "duckdb": "DuckDB refuses",
    "pydantic": "a setting is wrong",
    "yaml": "a YAML file cannot be read",
    "pyarrow": "a Parquet file cannot be read or written",
    "safetensors": "a weights file cannot be read",
    "tarfile": "an archive cannot be read",
    "zlib": "a compressed file cannot be read",
    "sqlite3": "a database of Dagster or MLflow cannot be used",
    "sqlalchemy": "a database of Dagster or MLflow cannot be used",
}
"""Libraries whose errors concern files and values, and what such an error means."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    accept_any_encoding()
    if arguments is None:
        keep_bars_to_terminals()
    words = list(sys.argv[1:] if arguments is None else arguments)
    with hear_stops(farewell=_farewell):
        code = finish(lambda: _invoke(words), words)
        code = stop_code(heard_stop()) if heard_stop() else code
    flush_or_give_up(lost=code == CLOSED_PIPE)
    if heard_stop():
        leave(code)
    sys.exit(code)


def finish(command: Callable[[], int], words: Sequence[str]) -> int:
    """Run a command to its end, and report on standard error how it ended, if there is something to report.

    Args:
        command: returns its exit code.
        words: the command line, for the report of a bug.

    Returns:
        The exit code.
    """
    try:
        return command()
    except typer.Exit as ended:
        return int(ended.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return _stopped(heard_stop() or signal.SIGINT)
    except BrokenPipeError:
        return CLOSED_PIPE
    except Exception as error:
        if os.environ.get(DEBUG) == "1":
            traceback.print_exc()
        if number := heard_stop():  # a worker or a pipe broke because of it
            return _stopped(number)
        return _refused(error, words)


def _refused(error: Exception, words: Sequence[str]) -> int:
    """Say what a user can correct, or that it is a bug of ours; returns the exit code."""
    told = refusal(error, words)
    if told is not None:
        _say(told)
        return BUG if isinstance(error, StageFailed) else REFUSED
    if os.environ.get(DEBUG) != "1":
        traceback.print_exception(error)
    _say(
        f"This is a bug of igsm_pipeline, not of your input. What was finished is kept. Please report the lines above with the command"
        f" (`igsm {shlex.join(words)}`), igsm {own_version()} and the output of `igsm doctor`."
    )
    return BUG


def refusal(error: Exception, words: Sequence[str] = ()) -> str | None:
    """The lines for a user who can correct the error; None if it is a bug of ours.

    Args:
        error: the error that ended the command.
        words: the command line.
    """
    if isinstance(error, USAGE):
        return usage_lines(error, words)
    return next((tell(error) for kind, tell in _KNOWN if isinstance(error, kind)), None) or _of_library(error)


def _stopped(number: int) -> int:
    """Say that a signal ended the command; returns the exit code."""
    _say(_farewell(number))
    return stop_code(number)


def _farewell(number: int) -> str:
    return f"stopped by {signal.Signals(number).name}; what was finished is kept, a half-written file is not"


def _of_link(error: RuntimeError) -> str | None:
    found = re.fullmatch(r"Symlink loop from '(?P<path>.*)'", str(error))
    return f"{found['path']} must lead to a file or folder, got a link that leads to itself; correct the link" if found else None


def _of_package(error: ModuleNotFoundError) -> str | None:
    if not error.name or error.name.startswith("igsm_pipeline"):
        return None
    return f"the package {error.name} must be installed for this command, got none; `pip install {error.name.partition('.')[0]}`"


def _of_text(error: UnicodeDecodeError) -> str:
    got = error.object[error.start : error.start + 1].hex()
    return f"text must be UTF-8, got the byte 0x{got} at position {error.start}; convert the file (`iconv -t utf-8`)"


def _of_memory(error: MemoryError) -> str:
    return f"memory must suffice, got an allocation that failed ({error}); close other programs or ask for less at once"


def _of_library(error: Exception) -> str | None:
    library = type(error).__module__.lstrip("_").partition(".")[0]
    meaning = _FOREIGN.get(library)
    if meaning is None:
        return None
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return f"{meaning}: {lines[0].strip()}\n{DEBUG}=1 shows where"


def _of_system(error: OSError) -> str:
    reason = error.strerror or str(error) or type(error).__name__
    if error.filename is None:
        return f"the system refuses: {reason}; {DEBUG}=1 shows where"
    name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else str(error.filename)
    if isinstance(error, PermissionError):
        return f"{name} must be open to you, got {reason!r}; see `ls -ld` of it and of its folder"
    if isinstance(error, FileNotFoundError):
        return f"{name} must exist, got {reason!r}; correct the path"
    return f"{name} must be a file that can be opened, read and written, got {reason!r}; correct the path or what lies there"


_KNOWN: tuple[tuple[type[Exception], Callable[[Any], str | None]], ...] = (
    (IgsmError, str),
    (MemoryError, _of_memory),
    (UnicodeDecodeError, _of_text),
    (OSError, _of_system),
    (ModuleNotFoundError, _of_package),
    (RuntimeError, _of_link),
)


def _invoke(words: list[str]) -> int:
    if "_IGSM_COMPLETE" in os.environ:  # the shell asks what may come next
        app(args=words, prog_name="igsm")
    if any(not word or re.fullmatch(r"--[a-z-]+=", word) for word in words):
        raise BadInput(
            "every word of the command", "must hold something", shlex.join(words), "take the empty one off; a variable of the shell may be unset"
        )
    command = typer.main.get_command(app)
    with command.make_context("igsm", list(words)) as context:
        code = command.invoke(context)
    return code if isinstance(code, int) else 0


def _say(message: str) -> None:
    from rich.console import Console

    try:
        Console(stderr=True).print(message, style="red", markup=False, emoji=False, highlight=False, soft_wrap=True)
    except OSError:  # the terminal is gone
        flush_or_give_up()
