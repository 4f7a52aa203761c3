"""Labels from the record and labels from the text are the same, at every position, for every task and candidate set."""

from __future__ import annotations

from igsm_pipeline.problems import FamilySettings, ProblemSetSettings, generate_block
from igsm_pipeline.world import load_world
from tests.reference.drawn_records import draw_batch
from tests.reference.label_routes import compare_labels

FAMILY = FamilySettings(op_max=12, ip_max=18, modulus=11, op_law="uniform", split_by="problem")


def test_every_label_of_generated_problems_is_the_same_from_record_and_text() -> None:
    settings = ProblemSetSettings(family=FAMILY, num_problems=24, block_size=24, seed=5, split="all")
    counts = compare_labels(generate_block(settings, load_world("mini"), 0))
    assert counts["problems"] == 24
    assert counts["labels"] > 10_000
    assert counts["differ"] == 0
    assert counts["parameters of unnamed items"] > 0


def test_every_label_of_problems_of_any_shape_is_the_same_from_record_and_text() -> None:
    counts = compare_labels(draw_batch(load_world("mini"), 7, 30, seed=1))
    assert counts["differ"] == 0
    assert counts["pairs without an edge"] > 0
