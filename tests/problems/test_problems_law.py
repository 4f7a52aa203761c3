"""The kernels and the slow reference make the same problems, problem by problem."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from reference.naive_blocks import NaiveProblem, naive_block

from igsm_pipeline.problems import FamilySettings, ProblemBatch, ProblemSetSettings, generate_block, regenerate
from igsm_pipeline.problems.record import id_of, parameter_of
from igsm_pipeline.world import load_world

MED = FamilySettings()
HARD = FamilySettings(op_max=21, ip_max=28)
SMALL = FamilySettings(op_max=3, ip_max=5, modulus=5, num_symbols=5, op_law="uniform", split_by="problem")
TINY = FamilySettings(op_max=2, ip_max=2, modulus=2, op_law="uniform", split_by="problem")
WIDE = FamilySettings(op_max=24, ip_max=39, modulus=24)
SEED = 20


def settings(family: FamilySettings, num_problems: int, **more: object) -> ProblemSetSettings:
    return ProblemSetSettings.model_validate({"family": family, "num_problems": num_problems, "block_size": num_problems, "seed": SEED, **more})


FAST = {
    "med range train": settings(MED, 250),
    "med range test": settings(MED, 60, split="test", stream="test"),
    "med balanced": settings(MED, 60, balanced=True, split="all"),
    "med exact at the edge": settings(MED, 60, law="exact", op=15, split="test"),
    "med exact beyond": settings(MED, 40, law="exact", op=23, split="test"),
    "med reask": settings(MED, 120, reask=True, split="test"),
    "hard range train": settings(HARD, 120),
    "hard exact beyond": settings(HARD, 30, law="exact", op=32, split="test"),
    "hard reask": settings(HARD, 40, reask=True, split="test"),
    "small range train": settings(SMALL, 250),
    "small range test": settings(SMALL, 60, split="test"),
    "small reask": settings(SMALL, 100, reask=True, split="test"),
    "tiny range": settings(TINY, 30),
    "widest, modulus not prime": settings(WIDE, 50),
}

SLOW = {
    "med": (settings(MED, 2000), 5),
    "hard": (settings(HARD, 1000), 10),
    "small": (settings(SMALL, 2000), 5),
}


def differences(batch: ProblemBatch, expected: list[NaiveProblem]) -> list[str]:
    """What of which problem differs; empty where all agree."""
    found = [] if len(batch) == len(expected) else ["length"]
    for slot, (row, made) in enumerate(zip(batch.records, expected, strict=False)):
        problem = batch[slot]
        checks = {
            "problem": problem == made.problem,
            "statement order": list(problem.statements) == list(made.problem.statements),
            "draw": int(row["draw"]) == made.draw,
            "slot": int(row["slot"]) == slot,
            "op": int(row["op"]) == made.problem.op == problem.op,
            "template bin": int(row["template_bin"]) == made.template_bin,
            "split bin": int(row["split_bin"]) == made.split_bin,
            "graph": {parameter_of(row, bit) for bit in range(63) if int(row["graph"]) >> bit & 1} == made.graph == problem.graph,
            "necessary": set(problem.order) == made.problem.necessary,
            "values": problem == made.problem and all(int(row["values"][id_of(row, one)]) == value for one, value in made.problem.values.items()),
            "place": _place(row) == made.place,
        }
        found += [f"slot {slot}: {name}" for name, agrees in checks.items() if not agrees]
    return found


def _place(row: object) -> object:
    depth = sum(1 for width in row["widths"] if width)  # type: ignore[index]
    items = tuple(tuple(row["items"][i, : row["widths"][i]].tolist()) for i in range(depth))  # type: ignore[index]
    return int(row["hierarchy"]), int(row["first_layer"]), tuple(row["subcategory"][:depth].tolist()), items  # type: ignore[index]


@pytest.mark.parametrize("case", FAST)
def test_kernel_and_reference_make_the_same_problems(case: str) -> None:
    world = load_world("mini" if case.startswith("tiny") else "igsm")
    print(f"seed {SEED}, block 0 of {case}")
    batch = generate_block(FAST[case], world, 0)
    assert differences(batch, naive_block(FAST[case], world, 0)) == []


@pytest.mark.slow
@pytest.mark.parametrize("case", SLOW)
def test_kernel_and_reference_make_the_same_ten_thousand_problems(case: str) -> None:
    world = load_world("igsm")
    one, blocks = SLOW[case]
    for block in range(blocks):
        print(f"seed {SEED}, block {block} of {case}")
        assert differences(generate_block(one, world, block), naive_block(one, world, block)) == []


def test_the_comparison_sees_a_single_changed_number() -> None:
    world = load_world("igsm")
    one = settings(MED, 5)
    expected = naive_block(one, world, 0)
    batch = generate_block(one, world, 0)
    records = batch.records.copy()
    records[3]["constant"][:] = (records[3]["constant"] + 1) % 23
    records[4]["graph"] &= records[4]["graph"] - 1
    assert {text.split(":")[0] for text in differences(ProblemBatch(records, world, 23), expected)} == {"slot 3", "slot 4"}


def test_any_one_problem_is_made_again_from_its_key() -> None:
    world = load_world("igsm")
    one = settings(MED, 40)
    for row in generate_block(one, world, 3).records:
        (again,) = regenerate(one, world, 3, int(row["draw"])).records
        again["slot"] = row["slot"]
        assert again == row


def test_the_kernels_run_as_plain_python_too() -> None:
    """Without the compiler the same source makes the same problems, so no result rests on how it is compiled."""
    root = Path(__file__).parents[2]
    code = (
        "import sys; sys.path[:0] = ['.', 'tests', 'tests/problems']\n"
        "import numba; assert numba.config.DISABLE_JIT\n"
        "from test_problems_law import *\n"
        "for family, more in ((MED, {}), (SMALL, {}), (MED, {'reask': True, 'split': 'test'}), (HARD, {'law': 'exact', 'op': 21})):\n"
        "    one = settings(family, 8, **more)\n"
        "    assert differences(generate_block(one, load_world(), 0), naive_block(one, load_world(), 0)) == []\n"
        "print('agreed')\n"
    )
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run([sys.executable, "-c", code], cwd=root, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == "agreed\n"
