"""A published folder is read only as it was published, and only in the form that this package writes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from igsm_pipeline.errors import BadInput
from igsm_pipeline.toolbox.published import FORMAT, KIND, PROVENANCE, is_published, read_published

SMALL = Path(__file__).parents[2] / "data" / "published" / "small"


def test_a_published_table_that_was_altered_is_refused_and_the_others_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    shutil.copytree(SMALL, folder)
    published = read_published(folder)
    path = published.table("verdicts")
    pq.write_table(pq.read_table(path).slice(1), path)
    with pytest.raises(BadInput, match=r"verdicts\.parquet must be as it was published"):
        published.table("verdicts")
    assert pq.read_table(published.table("probe_metrics")).num_rows


def test_a_folder_of_another_form_is_refused(tmp_path: Path) -> None:
    assert not is_published(tmp_path)
    settings = {name: {} for name in ("family", "tokens", "evaluation", "probes")}
    said = {"kind": KIND, "format": FORMAT, "member": "m", "settings": settings}
    (tmp_path / PROVENANCE).write_text(json.dumps(said))
    assert read_published(tmp_path).family.modulus == 23
    for change, match in (
        ({"format": FORMAT + 1}, "format must be"),
        ({"settings": {}}, "must say member and settings"),
        ({"kind": "x"}, "must be that of"),
    ):
        (tmp_path / PROVENANCE).write_text(json.dumps({**said, **change}))
        with pytest.raises(BadInput, match=match):
            read_published(tmp_path)
