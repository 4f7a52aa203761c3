"""Counts what reading a text costs without a clock: Python instructions of the package, and character tests of its regular expressions.

``CountedPattern`` matches by backtracking over the parsed expression, as ``re`` does, and counts every character it looks at; its result must be that
of ``re``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from re import _constants as C  # noqa: N812 (the names of the parsed form)
from re import _parser
from types import FrameType, ModuleType
from typing import Any

SINGLE = (C.LITERAL, C.NOT_LITERAL, C.IN, C.ANY)


class Counter:
    """The count so far."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, run: Callable[[], object]) -> int:
        """Operations that one call takes: instructions of the package's functions, and what counted patterns add meanwhile."""
        self.count = 0
        before = sys.gettrace()
        sys.settrace(self._trace)
        try:
            run()
        finally:
            sys.settrace(before)
        return self.count

    def _trace(self, frame: FrameType, event: str, arg: object) -> Any:
        if "igsm_pipeline" not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        self.count += event == "opcode"
        return self._trace


class CountedPattern:
    """Stands in for a compiled pattern; every character test counts."""

    def __init__(self, pattern: re.Pattern[str], counter: Counter) -> None:
        self.real, self.counter = pattern, counter
        self.pattern, self.nodes = pattern.pattern, list(_parser.parse(pattern.pattern, pattern.flags & ~re.UNICODE))

    def match(self, text: str, position: int = 0) -> re.Match[str] | None:
        return self._checked(self.real.match(text, position), text, position, whole=False)

    def fullmatch(self, text: str, position: int = 0) -> re.Match[str] | None:
        return self._checked(self.real.fullmatch(text, position), text, position, whole=True)

    def _checked(self, real: re.Match[str] | None, text: str, position: int, whole: bool) -> re.Match[str] | None:
        ends = self._run(self.nodes, text, position, {})
        end = next((end for end in ends if not whole or end == len(text)), None)
        assert end == (None if real is None else real.end()), (self.pattern, text[position : position + 80])
        return real

    def _run(self, nodes: list[Any], text: str, at: int, groups: dict[int, str]) -> Iterator[int]:
        """Every end that the nodes can reach from a place, in the order in which ``re`` tries them."""
        if not nodes:
            yield at
            return
        for middle in self._one(nodes[0], text, at, groups):
            yield from self._run(nodes[1:], text, middle, groups)

    def _one(self, node: Any, text: str, at: int, groups: dict[int, str]) -> Iterator[int]:
        kind, value = node
        if kind is C.SUBPATTERN:
            group, _, _, inside = value
            for end in self._run(list(inside), text, at, groups):
                if group is not None:
                    groups[group] = text[at:end]
                yield end
        elif kind is C.BRANCH:
            for branch in value[1]:
                yield from self._run(list(branch), text, at, groups)
        elif kind is C.GROUPREF:
            self.counter.count += len(groups[value])
            if text.startswith(groups[value], at):
                yield at + len(groups[value])
        elif kind is C.AT:
            assert value is C.AT_END_STRING
            yield from [at] * (at == len(text))
        elif kind in (C.MAX_REPEAT, C.MIN_REPEAT):
            yield from self._repeat(kind is C.MIN_REPEAT, value[0], value[1], list(value[2]), text, at, groups)
        else:
            assert kind in SINGLE
            if self._test(node, text, at):
                yield at + 1

    def _repeat(self, lazy: bool, least: int, most: int, nodes: list[Any], text: str, at: int, groups: dict[int, str]) -> Iterator[int]:
        if len(nodes) == 1 and nodes[0][0] in SINGLE:
            end = at
            while end - at < (least if lazy else most) and self._test(nodes[0], text, end):
                end += 1
            if lazy:
                while end - at >= least:
                    yield end
                    if end - at >= most or not self._test(nodes[0], text, end):
                        return
                    end += 1
            else:
                yield from range(end, at + least - 1, -1)
            return
        assert (least, most) == (0, 1)
        if lazy:
            yield at
        yield from self._run(nodes, text, at, groups)
        if not lazy:
            yield at

    def _test(self, node: Any, text: str, at: int) -> bool:
        self.counter.count += 1
        if at >= len(text):
            return False
        kind, value = node
        code = ord(text[at])
        if kind is C.ANY:
            return True  # the package's patterns with "." say DOTALL
        if kind is C.IN:
            negated = value[0][0] is C.NEGATE
            inside = any(one[1] == code if one[0] is C.LITERAL else one[1][0] <= code <= one[1][1] for one in value[negated:])
            return inside != negated
        return (code == value) == (kind is C.LITERAL)


def patterns_of(module: ModuleType) -> dict[str, re.Pattern[str] | tuple[re.Pattern[str], ...]]:
    """The compiled patterns, and tuples of them, that a module names."""
    found = {}
    for name, value in vars(module).items():
        if isinstance(value, re.Pattern) or (isinstance(value, tuple) and value and all(isinstance(one, re.Pattern) for one in value)):
            found[name] = value
    return found
