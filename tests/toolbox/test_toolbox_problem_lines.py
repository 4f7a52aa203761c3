"""The lines of ``igsm generate`` straight from records: what the slower way through problems gives, character for character."""

from __future__ import annotations

import json

import pytest

from igsm_pipeline.problems import FamilySettings, ProblemSetSettings, family_by_name, generate_block
from igsm_pipeline.tokens import TokenSettings, build_table
from igsm_pipeline.toolbox.dataset import _as_lines, problem_rows
from igsm_pipeline.toolbox.problem_lines import fast_lines
from igsm_pipeline.world import World, load_world
from tests.reference.random_problems import LENIENT, make_world

SMALL = FamilySettings(op_max=3, ip_max=4, modulus=5, op_law="uniform", split_by="problem")
FOREIGN = make_world(
    [
        {
            "Küste": [["Süd Kai", "Öl Pier", "Alt Hafen", "Werft"]],
            "Fähre": [["Große Barke", "Schlepper", "Ölboot", "Jolle"]],
            "Lade": [["Vorrat", "Eis Raum", "Tau Lager", "Koje"]],
            "Fracht": [["Häring", "Fass", "Zinn", "Wolle"]],
        }
    ]
)


def lines_by_problems(world: World, family: FamilySettings, vocab: str, number: int) -> tuple[str, object, object, dict[str, object]]:
    settings = ProblemSetSettings(family=family, num_problems=number, block_size=number, split="all")
    batch = generate_block(settings, world, 0)
    table = build_table(world, family.modulus, TokenSettings.model_validate({"vocab": vocab}))
    rows = list(problem_rows(batch, table, family))
    origin = {name: rows[0][name] for name in ("modulus", "world", "world_hash")}
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), batch, table, origin


@pytest.mark.parametrize("vocab", ["gpt2", "compact"])
@pytest.mark.parametrize("order", ["pq", "qp"])
@pytest.mark.parametrize("family", [family_by_name("med"), family_by_name("hard"), SMALL], ids=["med", "hard", "small"])
def test_lines_from_records_are_those_of_the_problems(family, order, vocab):
    family = family.model_copy(update={"format": order})
    for name in ("igsm", "mini"):
        expected, batch, table, origin = lines_by_problems(load_world(name), family, vocab, 48)
        assert fast_lines(batch, table, family, origin) == expected


@pytest.mark.parametrize("world", [FOREIGN, LENIENT], ids=["letters beyond ASCII", "loose names"])
def test_letters_beyond_ascii_and_loose_names_are_written_right(world):
    family = SMALL.model_copy(update={"op_max": 6, "ip_max": 12})
    expected, batch, table, _ = lines_by_problems(world, family, "gpt2", 64)
    assert _as_lines(batch, table, family) == (expected, 64)
    assert world is LENIENT or "Große Barke" in expected
