"""Processes that compute: how they react to stop signals, and how the processes that they started end with them.

parent.py    ends a process together with its parent
stopping.py  what SIGINT, SIGTERM and SIGHUP do
pools.py     worker processes that end with the work
imports.py   loads large libraries without pauses of the garbage collector
"""

from igsm_pipeline.processes.parent import die_with_parent, end_with

__all__ = ["die_with_parent", "end_with"]
