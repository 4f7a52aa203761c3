"""Many problems as arrays: what the kernels write, what Parquet holds and what the token emitter reads.

A record names parameters by their ids; ``problems.anatomy`` says which id stands for which parameter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from operator import index as as_index
from typing import SupportsIndex

import numpy as np
from numpy.typing import NDArray

from igsm_pipeline.errors import BadInput, BadProblem, must_be
from igsm_pipeline.problems.anatomy import (
    MAX_EDGES,
    MAX_INSTANCES,
    MAX_LAYERS,
    MAX_PARENTS,
    MAX_WIDTH,
    NOTHING,
    NUM_PARAMETERS,
    RNG_ID,
    abstract_id,
    abstract_place,
    list_edges,
)
from igsm_pipeline.problems.modulus import whole_modulus
from igsm_pipeline.problems.problem import ABSTRACT, INSTANCE, MORE, TIMES, Expression, Parameter, Problem
from igsm_pipeline.world import World

MAX_SYMBOLS = 52
FORM_MORE, FORM_TIMES, FORM_DIFFERENCE = 1, 2, 4
SYMBOLS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

RECORD = np.dtype(
    [
        ("block", np.uint32),  # running number of the block
        ("slot", np.uint32),  # place in the block
        ("draw", np.uint32),  # which proposal of the block it was
        ("op", np.uint8),  # operations of the necessary part
        ("template_bin", np.uint8),  # template hash mod 23
        ("split_bin", np.uint8),  # the hash that train and test are split by, mod 23
        ("hierarchy", np.uint8),
        ("first_layer", np.uint8),  # of the hierarchy, the problem's top layer
        ("widths", np.uint8, (MAX_LAYERS,)),  # items per layer, 0 for absent layers
        ("subcategory", np.uint8, (MAX_LAYERS,)),
        ("items", np.uint8, (MAX_LAYERS, MAX_WIDTH)),  # index within the sub-category
        ("children", np.uint8, (MAX_LAYERS - 1, MAX_WIDTH)),  # bit k: item (i, j) holds item (i+1, k)
        ("parents", np.uint8, (MAX_INSTANCES, MAX_PARENTS)),  # of each instance parameter, in operand order
        ("form", np.uint8, (MAX_INSTANCES,)),  # FORM_* bits
        ("constant", np.uint16, (MAX_INSTANCES,)),
        ("num_necessary", np.uint8),
        ("order", np.uint8, (NUM_PARAMETERS,)),  # necessary parameters in solution order
        ("graph", np.int64),  # mask of the parameters of G_d
        ("values", np.uint16, (NUM_PARAMETERS,)),  # of every existing parameter
        ("statement_order", np.uint8, (MAX_INSTANCES,)),  # instance ids in text order
        ("symbols", np.uint8, (MAX_SYMBOLS,)),  # indices into SYMBOLS by first appearance
    ],
    align=True,
)
"""One row per problem; NOTHING pads the lists of ids."""

Records = NDArray[np.void]


def parameter_of(row: np.void, parameter_id: int) -> Parameter:
    """The parameter behind an id of one record row."""
    return abstract_parameter(parameter_id) if parameter_id >= MAX_INSTANCES else instance_parameters(row)[parameter_id]


@cache
def abstract_parameter(parameter_id: int) -> Parameter:
    """The abstract parameter behind an id, the same in every record."""
    return Parameter(ABSTRACT, *abstract_place(int(parameter_id)))


def instance_parameters(row: np.void) -> list[Parameter]:
    """All instance parameters of one record row, by id."""
    edges = np.zeros((MAX_EDGES, 3), np.int64)
    number = list_edges(np.ascontiguousarray(row["children"]), edges)
    return [Parameter(INSTANCE, *edge) for edge in edges[:number].tolist()]


def id_of(row: np.void, parameter: Parameter) -> int:
    """The id of a parameter in one record row; inverse of ``parameter_of``."""
    if parameter.kind == ABSTRACT:
        return int(abstract_id(*parameter[1:]))
    return instance_parameters(row).index(parameter)


@dataclass(frozen=True, eq=False)
class ProblemBatch:
    """Records of one world and modulus.

    Attributes:
        records: shape (num_problems,), dtype ``RECORD``.
        world: gives the names.
        modulus: M.

    Raises:
        BadInput: one of them is something else.
    """

    records: Records
    world: World
    modulus: int

    def __post_init__(self) -> None:
        """Refuse what kernels would read as records, whatever it is."""
        must_be("records", self.records, np.ndarray, "an array", "read them with read_problems, or take those of a batch")
        if self.records.dtype != RECORD or self.records.ndim != 1:
            got = f"{'RECORD' if self.records.dtype == RECORD else self.records.dtype.name} of shape {self.records.shape}"
            raise BadInput("records", "must be an array of dtype RECORD and one dimension", got, "take the records of a batch")
        must_be("world", self.world, World, "a World", "load one with load_world")
        object.__setattr__(self, "modulus", whole_modulus(self.modulus))

    def __repr__(self) -> str:
        return f"<{len(self)} problem{'s' * (len(self) != 1)}, world {self.world.content_hash[:8]}, modulus {self.modulus}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ProblemBatch):
            return NotImplemented
        return (self.world, self.modulus) == (other.world, other.modulus) and np.array_equal(self.records, other.records)

    __hash__ = None  # type: ignore[assignment]  # arrays have none

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Problem]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: SupportsIndex) -> Problem:
        try:
            row = as_index(index)
        except TypeError:
            raise BadInput("index", "must be a whole number", index, "use take for some problems: batch.take(slice(0, 8))") from None
        return to_problem(self.records[row], self.world, self.modulus)

    def take(self, indices: NDArray[np.integer] | NDArray[np.bool_] | Sequence[int] | slice) -> ProblemBatch:
        """The batch of some rows.

        Args:
            indices: a slice, row numbers, or a truth value per row.

        Raises:
            BadInput: it is one number, or none of these.
        """
        if isinstance(indices, slice):
            return ProblemBatch(self.records[indices], self.world, self.modulus)
        rows = np.asarray(indices)
        if rows.ndim != 1 or (rows.dtype.kind not in "iub" and len(rows)):
            raise BadInput("indices", "must be a slice, row numbers or a truth value per row", indices, "use batch[5] for one, or take([5])")
        return ProblemBatch(self.records[rows if len(rows) else rows.astype(np.int64)], self.world, self.modulus)


def to_problem(row: np.void, world: World, modulus: int) -> Problem:
    """The problem of one record row.

    Raises:
        BadProblem: the row names an item that the world lacks (it was made with another world).
    """
    hierarchy = world.hierarchies[int(row["hierarchy"])]
    num_layers = int(np.count_nonzero(row["widths"]))
    layers = hierarchy.layers[int(row["first_layer"]) : int(row["first_layer"]) + num_layers]
    try:
        items = tuple(
            tuple([layer.subcategories[subcategory].items[item] for item in items[:width]])
            for layer, subcategory, items, width in zip(
                layers, row["subcategory"].tolist(), row["items"].tolist(), row["widths"].tolist(), strict=False
            )
        )
    except IndexError:
        raise BadProblem("record", "must use items of its world", int(row["draw"]), "read it with the world it was made with") from None
    instances = instance_parameters(row)

    def parameter(number: int) -> Parameter:
        return instances[number] if number < MAX_INSTANCES else abstract_parameter(number)

    statements = {}
    all_parents, forms, constants = row["parents"].tolist(), row["form"].tolist(), row["constant"].tolist()
    for number in row["statement_order"][: len(instances)].tolist():
        parents = [p for p in all_parents[number] if p != NOTHING]
        form = forms[number]
        statements[instances[number]] = Expression(
            parents=tuple([parameter(p) for p in parents if p != RNG_ID]),
            constant=constants[number] if RNG_ID in parents else None,
            form=MORE if form & FORM_MORE else TIMES if form & FORM_TIMES else None,
            difference=bool(form & FORM_DIFFERENCE),
        )
    order = tuple(parameter(p) for p in row["order"][: int(row["num_necessary"])].tolist())
    symbols = tuple(SYMBOLS[s] for s in row["symbols"][: int(row["op"])].tolist())
    return Problem(modulus, tuple(layer.category for layer in layers), items, statements, order[-1], order, symbols)
