"""Standard output and error as a user has them: any encoding, a pipe that closes, a terminal that is gone."""

from __future__ import annotations

import os
import sys
from importlib.metadata import PackageNotFoundError, version

import typer

QUIET = "IGSM_QUIET"
"""Environment variable: "1" while remarks and progress bars are unwanted."""


def own_version() -> str:
    """The installed version of this package; "unknown" where it runs from a folder that was never installed."""
    try:
        return version("igsm_pipeline")
    except PackageNotFoundError:
        return "unknown (not installed)"


def accept_any_encoding() -> None:
    r"""Let what the terminal or pipe cannot show appear as ``\u2264`` instead of ending the command."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def be_quiet() -> None:
    """From here on, in this process and its children: no progress bars and no remarks."""
    os.environ[QUIET] = os.environ["TQDM_DISABLE"] = "1"


def is_quiet() -> bool:
    """Whether only results and errors are wanted."""
    return os.environ.get(QUIET) == "1"


def remark(line: str) -> None:
    """Say something on standard error that is neither a result nor an error."""
    if not is_quiet():
        typer.echo(line, err=True)


def flush_or_give_up(*, lost: bool = False) -> None:
    """Write what is waiting; where nobody reads any more (a closed pipe or terminal), let it go quietly.

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
