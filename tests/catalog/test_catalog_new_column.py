"""The worked examples of docs/extending.md about columns, carried out in a copy of the package."""

from __future__ import annotations

import json
from pathlib import Path

from reference.few_problems import few_problems, write_few
from reference.worked_examples import copy_with, run_in

JUDGE = """
import json
from pathlib import Path
import numpy as np
from igsm_pipeline.generations.write import generations_table
from igsm_pipeline.model.decoding import Completions
from igsm_pipeline.planning.flow import STAGES
from igsm_pipeline.problems import FamilySettings, ProblemSetSettings, generate
from igsm_pipeline.problems.files import to_table, write_parquet
from igsm_pipeline.store import Writing
from igsm_pipeline.tokens import TokenSettings, build_table, emit
from igsm_pipeline.verification.settings import VerdictSettings
from igsm_pipeline.verification.write import write_verdicts
from igsm_pipeline.world.settings import WorldSettings
from igsm_pipeline.world.write import write_world
from igsm_pipeline.world import load_world
import pyarrow.parquet as pq

family, tokens = FamilySettings(op_max=2, ip_max=4, modulus=5, split_by="problem"), TokenSettings(segmentation="phrase")
folders = {name: Path(name) for name in ("world", "problems", "generations", "verdicts")}
for folder in folders.values():
    folder.mkdir()
write_world(WorldSettings(source="mini"), {}, Writing(folders["world"], False))
batch = next(generate(ProblemSetSettings(family=family, num_problems=6, block_size=6), load_world("mini")))
write_parquet(to_table(batch.records), folders["problems"] / "problems-00000.parquet")
table = build_table(load_world("mini"), 5, tokens)
emitted = emit(batch, table, "pq")
made = Completions([emitted.completion(index) for index in range(6)], np.ones(6, bool))
write_parquet(generations_table(made, np.ones(6), table), folders["generations"] / "generations.parquet")
own = TokenSettings(segmentation="checkpoint")  # through texts: kernels are not compiled here
write_verdicts(VerdictSettings(modulus=5, tokens=own), folders, Writing(folders["verdicts"], False))
verdicts = pq.read_table(folders["verdicts"] / "verdicts.parquet")
print(json.dumps([str(verdicts.schema.field("hierarchy").type), verdicts["hierarchy"].to_pylist(), batch.records["hierarchy"].tolist(),
    all(verdicts["correct"].to_pylist()), STAGES["verdicts"].version]))
"""


def test_a_derived_column_takes_one_file_and_computes_nothing_anew(tmp_path: Path) -> None:
    assert len(copy_with(tmp_path, "A new table column")) == 1
    write_few(tmp_path / "home", few_problems(8))
    run_in(tmp_path, "-m", "igsm_pipeline.running", "run", "few", "--stage", "world", "--stage", "problem_sets")
    asked = "SELECT DISTINCT op, is_hard FROM problems ORDER BY op"
    rows = run_in(tmp_path, "-c", "import sys; from igsm_pipeline.cli import main; main(sys.argv[1:])", "sql", asked, "--format", "csv")
    assert rows.split() == ["op,is_hard", "1,False", "2,False", "3,True"]


def test_a_stored_column_takes_its_declaration_its_value_and_the_version(tmp_path: Path) -> None:
    assert len(set(copy_with(tmp_path, "A new stored column"))) == 2
    kind, found, wanted, correct, version = json.loads(run_in(tmp_path, "-c", JUDGE))
    assert (kind, found, correct, version) == ("int16", wanted, True, 2)
