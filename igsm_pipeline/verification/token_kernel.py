"""The compiled reader of solutions as token ids: one pass, no text.

It reads sentences that are written as the tokenizer writes them, and judges them in the order of ``search``. At a token that it does not expect it
leaves the row to the text path. So it judges only what it has read completely, and never decides that a text leaves the grammar.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from igsm_pipeline.problems.anatomy import parent_mask
from igsm_pipeline.problems.kernel import Bool, Int, Ints, Row, kernel
from igsm_pipeline.problems.record import Records
from igsm_pipeline.tokens.table import Ids
from igsm_pipeline.tokens.walk import Numbers
from igsm_pipeline.verification.token_names import (
    ANSWER,
    DEFINE,
    DOT,
    IS,
    MINUS,
    NO_ERROR,
    NO_SUCH,
    NUMBER_CODE,
    PLUS,
    SO_WORD,
    STEP,
    STEP_SO,
    TIMES,
    UNREAD,
    Codes,
    Language,
    Work,
    begin,
    read_name,
)
from igsm_pipeline.verification.verdict import Error

_ERRORS = tuple(Error)
_REDEFINED_SYMBOL, _UNDEFINED_SYMBOL = _ERRORS.index(Error.REDEFINED_SYMBOL), _ERRORS.index(Error.UNDEFINED_SYMBOL)
_WRONG_REFERENCE, _WRONG_ARITHMETIC = _ERRORS.index(Error.WRONG_REFERENCE), _ERRORS.index(Error.WRONG_ARITHMETIC)
_UNKNOWN_PARAMETER, _REDEFINED_PARAMETER = _ERRORS.index(Error.UNKNOWN_PARAMETER), _ERRORS.index(Error.REDEFINED_PARAMETER)
_WRONG_DEPENDENCY, _WRONG_VALUE = _ERRORS.index(Error.WRONG_DEPENDENCY), _ERRORS.index(Error.WRONG_VALUE)
_WRONG_QUERY, _WRONG_ANSWER, _TRUNCATED = _ERRORS.index(Error.WRONG_QUERY), _ERRORS.index(Error.WRONG_ANSWER), _ERRORS.index(Error.TRUNCATED)


class Found(NamedTuple):
    """The kernel's results, one entry per row; see ``token_path.TokenVerdicts``."""

    error: NDArray[np.int8]
    sentence: NDArray[np.int32]
    name: NDArray[np.int64]
    right: NDArray[np.bool_]
    unnecessary_parameters: NDArray[np.int32]
    unnecessary_operations: NDArray[np.int32]


@kernel
def _read_separator(code: Codes, work: Work, ids: Ids) -> Bool:
    """Read "; so" or "; ", followed by a symbol and three more tokens; False if that is not what comes."""
    at, end = work["at"], work["end"]
    if at + 2 >= end:
        return False
    first = code[ids[at]]
    at += 1
    work["so"] = 0
    if first == STEP_SO:
        work["so"] = 1
    elif first != STEP:
        return False
    elif code[ids[at]] == SO_WORD:
        work["so"] = 1
        at += 1
    work["at"] = at
    work["steps"] += 1
    return at + 4 <= end and 0 <= code[ids[at]] < NUMBER_CODE


@kernel
def _judge_binary(code: Codes, work: Work, ids: Ids, at: Int) -> Int:
    """Judge "x o y = n o m = k" and one more token at a place. Returns UNREAD, an error or NO_ERROR; sets the result and adds to what is used."""
    if at + 9 >= work["end"]:
        return UNREAD
    x, operator, y = np.int64(code[ids[at]]), np.int64(code[ids[at + 1]]), np.int64(code[ids[at + 2]])
    n, m, k = np.int64(code[ids[at + 4]]), np.int64(code[ids[at + 6]]), np.int64(code[ids[at + 8]])
    shaped = code[ids[at + 3]] == IS and code[ids[at + 7]] == IS and code[ids[at + 5]] == operator and TIMES <= operator <= PLUS
    if not shaped or x < 0 or y < 0 or n < NUMBER_CODE or m < NUMBER_CODE or k < NUMBER_CODE:
        return UNREAD
    valued = work["valued"]
    work["result"] = k - NUMBER_CODE
    if (x < NUMBER_CODE and not valued >> x & 1) or (y < NUMBER_CODE and not valued >> y & 1):
        return _UNDEFINED_SYMBOL
    n, m = n - NUMBER_CODE, m - NUMBER_CODE
    if work["values"][x] != n or work["values"][y] != m:
        return _WRONG_REFERENCE
    work["used"] |= work["made_of"][x] | work["made_of"][y]
    result = n + m if operator == PLUS else n - m if operator == MINUS else n * m % work["modulus"]
    if result >= work["modulus"]:
        result -= work["modulus"]
    elif result < 0:
        result += work["modulus"]
    return NO_ERROR if result == k - NUMBER_CODE else _WRONG_ARITHMETIC


@kernel
def _read_step(code: Codes, work: Work, ids: Ids) -> Int:
    """Read "t = x o y = n o m = k" and the separator after it; returns the error."""
    at = work["at"]
    target = np.int64(code[ids[at]])
    if code[ids[at + 1]] != IS:
        return UNREAD
    before = work["used"]
    work["used"] = 0
    error = _judge_binary(code, work, ids, at + 2)
    work["at"] = at + 11
    if error == UNREAD or not _read_separator(code, work, ids):
        return UNREAD
    bit = np.int64(1) << target
    if work["taken"] & bit:
        return _REDEFINED_SYMBOL
    work["taken"] |= bit
    work["valued"] |= bit
    work["values"][target], work["made_of"][target] = work["result"], work["used"]
    work["used"] |= before
    return error


@kernel
def _read_last(code: Codes, work: Work, ids: Ids, own: Int) -> Int:
    """Read the step after "so", and the dot; returns the error."""
    at, end = work["at"], work["end"]
    if code[ids[at]] != own or code[ids[at + 1]] != IS:
        return UNREAD
    x, second = np.int64(code[ids[at + 2]]), code[ids[at + 3]]
    if TIMES <= second <= PLUS:
        error = _judge_binary(code, work, ids, at + 2)
        work["at"] = at + 12
        return error if error == UNREAD or code[ids[at + 11]] == DOT else UNREAD
    if x >= NUMBER_CODE and second == DOT:
        work["at"], work["result"] = at + 4, x - NUMBER_CODE
        return NO_ERROR
    if at + 6 > end or not 0 <= x < NUMBER_CODE or second != IS or code[ids[at + 4]] < NUMBER_CODE or code[ids[at + 5]] != DOT:
        return UNREAD
    work["at"], work["result"] = at + 6, np.int64(code[ids[at + 4]]) - NUMBER_CODE
    if not work["valued"] >> x & 1:
        return _UNDEFINED_SYMBOL
    work["used"] |= work["made_of"][x]
    return NO_ERROR if work["values"][x] == work["result"] else _WRONG_REFERENCE


@kernel
def _read_definition(row: Row, code: Codes, pieces: Ids, starts: Numbers, define_rest: Int, work: Work, ids: Ids) -> tuple[Int, Int]:
    """Read " Define {name} as v" and the separator after it; returns the parameter (or UNREAD or NO_SUCH) and the symbol."""
    at, end = work["at"], work["end"]
    if at + 2 >= end or code[ids[at]] != DEFINE:
        return UNREAD, 0
    at += 1
    if define_rest >= 0:
        if ids[at] != define_rest:
            return UNREAD, 0
        at += 1
    work["at"] = at
    parameter = read_name(row, code, pieces, starts, work, ids)
    if parameter == UNREAD or work["at"] >= end:
        return UNREAD, 0
    own = np.int64(code[ids[work["at"]]])
    work["at"] += 1
    if not 0 <= own < NUMBER_CODE or not _read_separator(code, work, ids):
        return UNREAD, 0
    return parameter, own


@kernel
def _read_sentence(row: Row, code: Codes, pieces: Ids, starts: Numbers, define_rest: Int, work: Work, ids: Ids) -> Int:
    """Read one sentence; returns its first error, NO_ERROR or UNREAD."""
    parameter, own = _read_definition(row, code, pieces, starts, define_rest, work, ids)
    if parameter == UNREAD:
        return UNREAD
    symbol = np.int64(1) << own
    if work["taken"] & symbol:
        return _REDEFINED_SYMBOL
    work["taken"] |= symbol
    work["used"] = 0
    error: Int = NO_ERROR
    while error == NO_ERROR and not work["so"]:
        error = _read_step(code, work, ids)
    if error == NO_ERROR:
        error = _read_last(code, work, ids, own)
    return _judge_sentence(row, work, parameter, own) if error == NO_ERROR else error


@kernel
def _judge_sentence(row: Row, work: Work, parameter: Int, own: Int) -> Int:
    """Judge a sentence whose steps are right; returns its error or NO_ERROR, in which case the parameter becomes defined."""
    if parameter == NO_SUCH:
        return _UNKNOWN_PARAMETER
    bit = np.int64(1) << np.int64(parameter)
    if work["defined"] & bit:
        return _REDEFINED_PARAMETER
    if work["used"] != parent_mask(row["children"], row["parents"], work["first_edge"], parameter):
        return _WRONG_DEPENDENCY
    if work["result"] != row["values"][parameter]:
        return _WRONG_VALUE
    work["valued"] |= np.int64(1) << own
    work["values"][own], work["made_of"][own] = work["result"], bit
    work["defined"] |= bit
    if not work["necessary"] & bit:
        work["unnecessary"] += 1
    work["last"] = parameter
    work["sentence"] += 1
    return NO_ERROR


@kernel
def _count_rest(code: Codes, semicolons: NDArray[np.int8], ids: Ids, at: Int, end: Int) -> tuple[Int, Int]:
    """Count ";" from a place to the answer marker or the end, and say where that is; the count is -1 if a special token comes first."""
    count: Int = 0
    while at < end and code[ids[at]] != ANSWER:
        if semicolons[ids[at]] < 0:
            return -1, at
        count += semicolons[ids[at]]
        at += 1
    return count, at


@kernel
def judge(
    records: Records, rows: Ints, works: Records, language: Language, ids: Ids, offsets: Ints, finished: NDArray[np.bool_], found: Found
) -> None:
    """Fill ``found`` for the completions ``ids[offsets[i]:offsets[i + 1]]`` of problems ``records[rows[i]]``; what cannot be read stays UNREAD."""
    code, semicolons, pieces, starts = language.code, language.semicolons, language.pieces, language.starts
    layout, item_starts, define_rest, work = language.layout, language.item_starts, language.define_rest, works[0]
    for i in range(len(rows)):
        row, start, end = records[rows[i]], offsets[i], offsets[i + 1]
        if end > start and ids[end - 1] == language.end:
            end -= 1
        begin(row, pieces, starts, layout, item_starts, work)
        work["at"], work["end"] = start, end
        error: Int = NO_ERROR
        while error == NO_ERROR and work["at"] < end and code[ids[work["at"]]] != ANSWER:
            error = _read_sentence(row, code, pieces, starts, define_rest, work, ids)
        if error == UNREAD or (error == NO_ERROR and work["sentence"] == 0):
            continue
        more, mark = _count_rest(code, semicolons, ids, work["at"], end)
        answered = mark < end
        if more < 0 or (answered and (mark + 2 != end or code[ids[mark + 1]] < NUMBER_CODE)):
            continue
        query = row["order"][row["num_necessary"] - 1]
        right = answered and code[ids[end - 1]] - NUMBER_CODE == row["values"][query]
        named = True
        if error == NO_ERROR:
            if not answered or (not finished[i] and work["last"] == query):
                error, named = _TRUNCATED, False
            elif work["last"] != query:
                error = _WRONG_QUERY
            elif not right:
                error = _WRONG_ANSWER
        found.error[i], found.sentence[i], found.right[i] = error, work["sentence"], right
        if named:
            found.name[i, 0], found.name[i, 1] = work["name"][0], work["name"][1]
        found.unnecessary_parameters[i] = work["unnecessary"]
        found.unnecessary_operations[i] = work["steps"] + more - row["op"]
