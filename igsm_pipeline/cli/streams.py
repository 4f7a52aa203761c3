"""Standard output and error: any encoding, pipes that close, terminals that disappear."""

from __future__ import annotations

import os
import sys
from importlib.metadata import PackageNotFoundError, version

import typer

QUIET = "IGSM_QUIET"
"""Environment variable: "1" suppresses remarks and progress bars."""


def own_version() -> str:
    """The installed version of this package; "unknown" if it runs from a folder that was never installed."""
    try:
        return version("igsm_pipeline")
    except PackageNotFoundError:
        return "unknown (not installed)"


def accept_any_encoding() -> None:
    r"""Write characters that the terminal or pipe cannot show as ``\u2264``, instead of ending the command."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def keep_bars_to_terminals() -> None:
    """Show no progress bars, of other libraries neither, where standard error is a file or a pipe. Call it before these libraries are imported."""
    if sys.stderr is None or not sys.stderr.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")


def be_quiet() -> None:
    """Show no progress bars and no remarks from here on, in this process and its children."""
    os.environ[QUIET] = os.environ["TQDM_DISABLE"] = "1"


def is_quiet() -> bool:
    """Whether only results and errors are wanted."""
    return os.environ.get(QUIET) == "1"


def remark(line: str) -> None:
    """Print a line on standard error that is neither a result nor an error."""
    if not is_quiet():
        typer.echo(line, err=True)


def flush_or_give_up(*, lost: bool = False) -> None:
    """Flush the output; if its reader has gone (a closed pipe or terminal), drop the rest without an error.

    Args:
        lost: standard output is known to be closed.
    """
    for stream, number in ((sys.stdout, 1), (sys.stderr, 2)):
        try:
            if lost and number == 1:
                raise BrokenPipeError
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            void = os.open(os.devnull, os.O_WRONLY)
            os.dup2(void, number)
            os.close(void)
