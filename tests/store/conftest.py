"""A store with two finished units."""

from pathlib import Path

import pytest
from reference.two_units import READER, SOURCE, fill

from igsm_pipeline.store import Store


@pytest.fixture
def full(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    fill(store, SOURCE)
    fill(store, READER)
    return store
