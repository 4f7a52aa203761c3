"""Dagster's logs of the output of steps, with helper processes that ignore Ctrl-C.

Dagster mirrors a step's output by ``tail`` and a watcher. Both belong to the terminal's foreground group, so Ctrl-C reached them,
too: the watcher ended with a traceback, and the last lines of the step were lost.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from dagster._core.storage.compute_log_manager import CapturedLogContext
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._serdes import ConfigurableClassData

from igsm_pipeline.processes.stopping import starting_deaf


class SteadyComputeLogManager(LocalComputeLogManager):
    """Dagster's local compute logs; its helper processes start with SIGINT and SIGHUP blocked. Takes the same configuration."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> SteadyComputeLogManager:
        """An instance from dagster.yaml."""
        return cls(inst_data=inst_data, **config_value)

    @contextmanager
    def capture_logs(self, log_key: Sequence[str]) -> Generator[CapturedLogContext, None, None]:
        """Capture the output while the block runs. A signal that comes while the helpers start is handled once they have started."""
        capture = super().capture_logs(log_key)
        with starting_deaf():
            context = capture.__enter__()
        try:
            yield context
        except BaseException as error:
            if not capture.__exit__(type(error), error, error.__traceback__):
                raise
        else:
            capture.__exit__(None, None, None)
