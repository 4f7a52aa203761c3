"""The bin that problems are split by is SHA-256 mod 23, as the standard library computes it."""

from __future__ import annotations

import hashlib
import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.naive_blocks import template

from igsm_pipeline.problems import FamilySettings, ProblemSetSettings, generate_block
from igsm_pipeline.problems.law.details import world_shape
from igsm_pipeline.problems.law.split import BINS, HASH_BYTES, message_bin, new_hashing, template_of
from igsm_pipeline.world import load_world
from igsm_pipeline.world.world import parse_world


def bin_of(data: bytes) -> int:
    hashing = new_hashing()
    hashing.message[: len(data)] = np.frombuffer(data, np.uint8)
    return int(message_bin(hashing, len(data)))


def expected(data: bytes) -> int:
    return int.from_bytes(hashlib.sha256(data).digest(), "big") % 23


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_have_the_bin_of_their_sha256(data: bytes) -> None:
    assert bin_of(data) == expected(data)


def test_every_length_around_the_padding_of_a_hash_block_is_padded_rightly() -> None:
    for length in [*range(140), HASH_BYTES - 72]:
        data = bytes(index % 251 for index in range(length))
        assert bin_of(data) == expected(data)


def test_template_bins_are_those_of_templates_written_from_the_text() -> None:
    seed = 3
    print(f"seed {seed}")
    wanted = ProblemSetSettings(family=FamilySettings(), num_problems=60, block_size=60, seed=seed, split="test")
    batch = generate_block(wanted, load_world("igsm"), 0)
    assert [template_of(record).decode() for record in batch.records] == [template(problem) for problem in batch]
    bins = [expected(template(problem).encode()) for problem in batch]
    assert batch.records["template_bin"].tolist() == bins
    assert set(bins) <= BINS["test"]
    assert len(np.unique(bins)) > 3


def test_no_bin_is_in_both_splits() -> None:
    assert not BINS["train"] & BINS["test"]
    assert BINS["train"] | BINS["test"] == BINS["all"] - {16}


def test_different_statements_have_different_codes_in_a_world_of_any_size() -> None:
    """A code is owner * base + thing; a base below the number of names would give two statements of a large world one code."""
    names = [f"N {number}" for number in range(4 * 255 * 5)]
    layers = []
    for layer in range(4):
        own = names[layer * 1275 : (layer + 1) * 1275]
        layers.append({"category": f"C {layer}", "subcategories": {f"S {part}": own[part * 255 : (part + 1) * 255] for part in range(5)}})
    large = world_shape(parse_world(json.dumps({"lenient": True, "hierarchies": [{"layers": layers}]}).encode(), "large.json"))
    assert large.codes.max() == len(names) - 1
    assert large.base > large.codes.max()
    assert world_shape(load_world("igsm")).base == 4096, "the split of worlds that people have stays"
