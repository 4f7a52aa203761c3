"""What Dagster keeps for a whole process, taken back after every module."""

from collections.abc import Iterator

import pytest
from dagster._core.storage.defs_state.base import set_defs_state_storage


@pytest.fixture(autouse=True, scope="module")
def current_instance_forgotten() -> Iterator[None]:
    """No module sees the instance of the one before it.

    Where a second thread enters an instance, Dagster leaves it set; what loads definitions later would read its deleted files.
    """
    with set_defs_state_storage(None):
        yield
