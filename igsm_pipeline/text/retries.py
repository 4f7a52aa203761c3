"""Retries in the text of a solution: " Define {name} as<|back|>." names a parameter and takes it back.

Such a sentence defines nothing. ``without_retries`` reads them out of a solution, ``with_retries`` writes them into one.

Source: arXiv:2408.16293 (Part 2.2). Ours: how the token is written; readers also take "[BACK]" and a space before it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from igsm_pipeline.text.solution import NAME

BACK = "<|back|>"
_TOLD = rf"(?:(?<=\.)|\A) Define (?P<name>{NAME}) as ?(?:{re.escape(BACK)}|\[BACK\])"
_RETRY, _CUT_RETRY = re.compile(rf"{_TOLD}\."), re.compile(rf"{_TOLD}(?:\.|\Z)")


def without_retries(solution: str, *, cut: bool = False) -> tuple[str, tuple[str, ...]]:
    """Take the retries out of a solution.

    Args:
        solution: any text; what looks like a retry but is not written as one stays.
        cut: the text may end within its last sentence, so that the dot of a retry may be missing there.

    Returns:
        The text without them, and the names that were taken back, in their order.

    Example:
        >>> without_retries(" Define Bag's Cup as<|back|>. Define Bag's Pen as s; so s = 3.")
        (" Define Bag's Pen as s; so s = 3.", ("Bag's Cup",))
    """
    if BACK not in solution and "[BACK]" not in solution:
        return solution, ()
    pattern = _CUT_RETRY if cut else _RETRY
    return pattern.sub("", solution), tuple(found["name"] for found in pattern.finditer(solution))


def with_retries(sentences: Sequence[str], retries: Sequence[tuple[int, str]]) -> str:
    """Write retries into a solution.

    Args:
        sentences: sentences of a solution as ``text.Sentence.render`` gives them, without the final dot.
        retries: (sentence before which it stands, name), rising.

    Example:
        >>> with_retries(["Define Bag's Pen as s; so s = 3"], [(0, "Bag's Cup")])
        " Define Bag's Cup as<|back|>. Define Bag's Pen as s; so s = 3."
    """
    out = []
    for number, sentence in enumerate(sentences):
        out += [f" Define {name} as{BACK}." for place, name in retries if place == number]
        out.append(f" {sentence}.")
    return "".join(out)
