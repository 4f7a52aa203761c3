"""Records -> lines of JSON, straight from the arrays: what ``json.dumps`` makes of ``dataset.problem_rows``, character for character, and faster.

Texts are the documents' tokens put together; names, parents and values are read by parameter id. Worlds of loose names may give two parameters one
name, which only dictionaries settle; they take the slower way.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from json.encoder import encode_basestring as quoted

import numpy as np
from numpy.typing import NDArray

from igsm_pipeline.problems.anatomy import ABSTRACT_BASE, MAX_LAYERS, MAX_PARENTS, MAX_WIDTH, NUM_PARAMETERS
from igsm_pipeline.problems.record import ProblemBatch
from igsm_pipeline.problems.settings import NO_RETRIES, FamilySettings, RetrySettings
from igsm_pipeline.tokens import TokenTable, emit
from igsm_pipeline.tokens.retries import with_retries
from igsm_pipeline.world import World

_BITS = tuple(tuple(bit for bit in range(MAX_WIDTH) if mask >> bit & 1) for mask in range(1 << MAX_WIDTH))
"""Mask of children -> their indices."""
_PLACES = dict(
    enumerate(
        ((layer, item, target) for layer in range(MAX_LAYERS - 1) for item in range(MAX_WIDTH) for target in range(layer + 1, MAX_LAYERS)),
        ABSTRACT_BASE[0],
    )
)
"""Abstract id -> (layer, item, target)."""
_IDS = {place: number for number, place in _PLACES.items()}


def document_texts(
    batch: ProblemBatch, table: TokenTable, family: FamilySettings, retry: RetrySettings = NO_RETRIES
) -> Iterator[tuple[str, str, str]]:
    """Prompt, solution and answer of every problem, from the tokens of its document.

    Args:
        batch: problems of a world of strict names.
        table: gives the tokens; with the one that takes back, if there are retries.
        family: of the problems.
        retry: what is named and taken back in the solutions.
    """
    return ((prompt, solution, answer) for _, prompt, solution, answer in _documents(batch, table, family, retry))


def _documents(
    batch: ProblemBatch, table: TokenTable, family: FamilySettings, retry: RetrySettings = NO_RETRIES
) -> Iterator[tuple[list[int], str, str, str]]:
    """Token ids of every document, and its prompt, solution and answer."""
    emitted, tokens = with_retries(emit(batch, table, family.format), batch, table, retry), table.vocabulary.tokens
    ids, starts = emitted.ids.tolist(), emitted.offsets.tolist()
    last_sentences = emitted.sentence_ends[emitted.sentence_offsets[1:] - 1].tolist()
    for start, end, prompt_end, last in zip(starts[:-1], starts[1:], emitted.prompt_ends.tolist(), last_sentences, strict=True):
        document = ids[start:end]
        prompt, solution, answer = (
            b"".join([tokens[one] for one in part]).decode()
            for part in (document[1 : prompt_end + 1], document[prompt_end + 2 : last + 1], document[last + 2 : -1])
        )
        yield document, prompt, solution, answer


def fast_lines(batch: ProblemBatch, table: TokenTable, family: FamilySettings, origin: dict[str, object]) -> str:
    """One line of JSON per problem.

    Args:
        batch: problems of a world of strict names.
        table: gives the token ids.
        family: of the problems.
        origin: fields that all rows have and that come last.
    """
    records, numbers = batch.records, _numbers(table.size)
    ops, hashes, graphs = records["op"].tolist(), records["template_bin"].tolist(), _graph_lines(batch)
    tail = json.dumps(origin, ensure_ascii=False)[1:]
    lines = []
    for index, (document, prompt, solution, answer) in enumerate(_documents(batch, table, family)):
        if family.format == "pq":
            end = prompt.rindex(".") + 1
            statements, question = prompt[:end], prompt[end:]
        else:
            end = prompt.index("?") + 1
            question, statements = prompt[:end], prompt[end:]
        lines.append(
            f'{{"problem": {quoted(statements)}, "question": {quoted(question)}, "solution": {quoted(solution)}, "answer": {quoted(answer)}, '
            f'"op": {ops[index]}, "hash": {hashes[index]}, {graphs[index]}, "token_ids": [{", ".join([numbers[one] for one in document])}], {tail}\n'
        )
    return "".join(lines)


@lru_cache(maxsize=4)
def _numbers(size: int) -> tuple[str, ...]:
    return tuple(map(str, range(size)))


@lru_cache(maxsize=4)
def _names(world: World) -> tuple[tuple[tuple[tuple[str, ...], ...], ...], ...]:
    """Item names as they stand within a JSON string, by hierarchy, layer and sub-category."""
    return tuple(
        tuple(tuple(tuple([_bare(item) for item in one.items]) for one in layer.subcategories) for layer in hierarchy.layers)
        for hierarchy in world.hierarchies
    )


@lru_cache(maxsize=256)
def _bare(text: str) -> str:
    return quoted(text)[1:-1]


def _graph_lines(batch: ProblemBatch) -> list[str]:
    """The fields query, necessary, parents and values of every problem, as they stand within a line."""
    records, names = batch.records, _names(batch.world)
    children, operands, orders, values = (_rows(records[name]) for name in ("children", "parents", "order", "values"))
    small = ("hierarchy", "first_layer", "widths", "subcategory", "items", "num_necessary", "graph")
    found = []
    for index, (hierarchy, first, widths, subcategories, items, length, graph) in enumerate(
        zip(*(records[one].tolist() for one in small), strict=True)
    ):
        layers = [
            [names[hierarchy][first + layer][subcategories[layer]][item] for item in items[layer][: widths[layer]]]
            for layer in range(MAX_LAYERS)
            if widths[layer]
        ]
        categories = [_bare(one) for one in batch.world.hierarchies[hierarchy].categories[first : first + len(layers)]]
        name_of, parents_of = _parameters(layers, categories, children[index], operands[index], graph)
        necessary = [name_of[number] for number in orders[index][:length]]
        parents_by_name = [f"{name}: [{', '.join([name_of[one] for one in parents_of[number]])}]" for number, name in name_of.items()]
        values_by_name = [f"{name}: {values[index][number]}" for number, name in name_of.items()]
        found.append(
            f'"query": {necessary[-1]}, "necessary": [{", ".join(necessary)}], '
            f'"parents": {{{", ".join(parents_by_name)}}}, "values": {{{", ".join(values_by_name)}}}'
        )
    return found


def _rows(column: NDArray[np.unsignedinteger]) -> list[memoryview]:
    """The rows of a column, each flat: where few of many numbers are asked for, far cheaper than lists."""
    return [row.data for row in np.ascontiguousarray(column).reshape(len(column), -1)]


def _parameters(
    layers: list[list[str]], categories: list[str], children: memoryview, operands: memoryview, graph: int
) -> tuple[dict[int, str], dict[int, Sequence[int]]]:
    """Parameter id -> quoted name, and -> ids of its parents, for the parameters of the graph in the order of their ids.

    Args:
        layers: names of the items.
        categories: names of the categories.
        children: of the record, flat.
        operands: the record's ``parents``, flat.
        graph: mask of the parameters.
    """
    name_of: dict[int, str] = {}
    parents_of: dict[int, Sequence[int]] = {}
    edges: dict[tuple[int, int], list[tuple[int, int]]] = {}
    number = 0
    for layer, owners in enumerate(layers[:-1]):
        for item, owner in enumerate(owners):
            held = edges[layer, item] = []
            for child in _BITS[children[MAX_WIDTH * layer + item]]:
                if graph >> number & 1:
                    name_of[number] = f'"{owner}\'s {layers[layer + 1][child]}"'
                    parents_of[number] = [one for one in operands[MAX_PARENTS * number : MAX_PARENTS * (number + 1)] if one < NUM_PARAMETERS]
                held.append((number, child))
                number += 1
    for number, (layer, item, target) in _PLACES.items():
        if graph >> number & 1:
            name_of[number] = f'"{layers[layer][item]}\'s {categories[target]}"'
            held = edges[layer, item]
            if target == layer + 1:
                parents_of[number] = [edge for edge, _ in held]
            else:
                parents_of[number] = [one for edge, child in held for one in (edge, _IDS[layer + 1, child, target])]
    return name_of, parents_of
