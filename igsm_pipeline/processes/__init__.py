"""Processes that compute: how they hear a stop, and how those that they started end with them.

parent.py    not outliving the process that started this one
stopping.py  what SIGINT, SIGTERM and SIGHUP do
pools.py     worker processes that end with the work
"""

from igsm_pipeline.processes.parent import die_with_parent, end_with

__all__ = ["die_with_parent", "end_with"]
