"""``igsm``: the pipeline from a terminal.

Every command imports what it needs when it runs, so that ``igsm --help`` answers at once and ``igsm run`` of a fresh member never loads Dagster.
A wrong option, value or file gives two or three lines on stderr and exit code 2 (``cli.border``).

    app.py       what all commands share
    border.py    main: errors and signals become lines and exit codes
    usage.py     reports wrong options and values
    streams.py   output in any encoding, and closed pipes
    members.py   run, plan, status, report, publish
    problems.py  generate, show, solve, play, verify
    reference.py the reference pages of the documentation; python_page.py writes the one of the Python face
    upkeep.py    init, sql, ui, gc, export, import, push, pull, doctor
"""

from igsm_pipeline.cli import members, problems, upkeep
from igsm_pipeline.cli.app import app
from igsm_pipeline.cli.border import main

__all__ = ["app", "main", "members", "problems", "upkeep"]
