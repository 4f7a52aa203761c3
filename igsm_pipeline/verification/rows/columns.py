"""Finds problem, question, solution and answer in a row of any shape."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from igsm_pipeline.errors import BadInput, BadProblem
from igsm_pipeline.verification.rows.answers import answer_text, is_missing
from igsm_pipeline.verification.rows.spelling import Spelling

FIELDS = ("problem", "question", "solution", "answer")
CHATS = ("messages", "conversations", "conversation")
TEXTS = ("text", "document", "content")
ORIGIN = ("modulus", "world", "world_hash")
_SHAPE = "write {problem, question, solution} and, where there is one, answer, each as text"
_OFTEN = {
    "problem": ("prompt", "input", "instruction", "query", "question"),
    "solution": ("completion", "response", "output", "generated", "generation", "prediction", "reasoning"),
    "answer": ("label", "target", "gold", "final_answer", "numerical_answer", "expected"),
}
"""Field -> keys that other people often use for it; they are suggested, never used unasked."""
_SOLUTION_START = re.compile("(?:^|(?<=[\\s.?>:\ufffd]))Define ")
_LABEL_AT_END = re.compile(r"(?:solution|answer|response|reasoning|a)\s*:\s*\Z", re.IGNORECASE)


class Fields(NamedTuple):
    """The texts of a row, unchanged.

    Attributes:
        problem: statements, with or without the question.
        question: "" if the problem contains it.
        solution: text of the solution.
        answer: as text; None if there is none.
        expects_answer: whether the row has a place for an answer.
        layout: how the texts were found, if that is worth a note.
        origin: modulus, world and world_hash, if the row gives them.
    """

    problem: str
    question: str
    solution: str
    answer: str | None
    expects_answer: bool
    layout: Spelling | None
    origin: Mapping[str, Any]


class Columns:
    """Finds the fields of rows by their keys.

    Args:
        names: field -> key, for keys that differ from the field's name. Upper and lower case are the same unless two keys differ only in them.

    Raises:
        BadInput: it renames something that is not a field.
    """

    def __init__(self, names: Mapping[str, str] | None = None) -> None:
        self.names = dict(names or {})
        for unknown in sorted(self.names.keys() - set(FIELDS)):
            raise BadInput("columns", f"must rename one of {', '.join(FIELDS)}", unknown, "write {field: column of the data}")
        self._found: dict[tuple[object, ...], dict[str, Any]] = {}

    def wanted(self, key: str) -> bool:
        """Whether a column of this name may be needed."""
        asked = [self.names.get(name, name) for name in FIELDS]
        return key in asked or key.lower() in {one.lower() for one in asked} | {*CHATS, *TEXTS, *ORIGIN, "row"}

    def read(self, row: object) -> Fields:
        """Find the fields of a row.

        Args:
            row: a mapping, a text that contains everything, or the error that reading it raised.

        Raises:
            BadProblem: it has no problem or no solution; the message names the keys that it has.
        """
        if isinstance(row, BadProblem):
            raise row
        if isinstance(row, str):
            row = {"text": row}
        if not isinstance(row, Mapping):
            raise BadProblem("row", "must be an object", type(row).__name__, _SHAPE)
        given: Mapping[Any, Any] = row
        keys = self._keys(given)
        if "row" in keys and "problem" not in keys and isinstance(given[keys["row"]], Mapping):
            given = given[keys["row"]]
            keys = self._keys(given)
        values = {name: given[key] for name, key in keys.items()}
        layout = self._lay_out(values)
        texts = [_text(values.get(name), name, given) for name in ("problem", "question", "solution")]
        if not (texts[0] or texts[1]).strip():
            raise _missing("problem", given)
        origin = {name: values[name] for name in ORIGIN if not is_missing(values.get(name))}
        return Fields(texts[0], texts[1], texts[2], answer_text(values.get("answer")), "answer" in values, layout, origin)

    def _keys(self, row: Mapping[Any, Any]) -> dict[str, Any]:
        """Field -> key of the row; it is kept, because most rows have the same keys as those before them."""
        signature = tuple(row)
        found = self._found.get(signature)
        if found is None:
            lower = {str(key).lower(): key for key in reversed(signature)}
            found = {}
            for name in (*FIELDS, *CHATS, *TEXTS, *ORIGIN, "row"):
                key = self.names.get(name, name)
                place = key if key in row else lower.get(key.lower())
                if place is not None:
                    found[name] = place
                elif name in self.names and name in FIELDS[:3]:
                    raise BadProblem(name, f"must be under the key {key}, as it was said", list(row), "name a key that the row has")
            if len(self._found) < 1024:
                self._found[signature] = found
        return found

    @staticmethod
    def _lay_out(values: dict[str, Any]) -> Spelling | None:
        """Put the texts in their places where a row has them in another layout; says which."""
        for name in FIELDS[:3]:
            if isinstance(values.get(name), list):
                values[name] = _last_said(values[name], ("assistant", "gpt", "model") if name == "solution" else ("user", "human"))
        if values.get("solution") is not None:
            return None
        chat = next((values[name] for name in CHATS if isinstance(values.get(name), list)), None)
        if chat is not None and values.get("problem") is None:
            values["problem"], values["solution"] = _last_said(chat, ("user", "human")), _last_said(chat, ("assistant", "gpt", "model"))
            return Spelling.CHAT
        answer = values.get("answer")
        if isinstance(answer, str) and _SOLUTION_START.search(answer):
            values["solution"] = answer
            del values["answer"]
            return Spelling.ANSWER_AT_END
        for name in ("problem", "question", *TEXTS):
            text = values.get(name)
            start = _SOLUTION_START.search(text) if isinstance(text, str) else None
            if isinstance(text, str) and start is not None:
                values["problem" if name in TEXTS else name] = _LABEL_AT_END.sub("", text[: start.start()])
                values["solution"] = f" {text[start.start() :]}"
                return Spelling.ONE_TEXT
        return None


def read_renames(options: Iterable[str]) -> dict[str, str]:
    """Field -> key, from options such as "problem=prompt".

    Raises:
        BadInput: an option is not such a pair, or names no field.
    """
    names: dict[str, str] = {}
    for option in options:
        name, equals, key = option.partition("=")
        if not equals or not key or name.lower() not in FIELDS:
            raise BadInput("--column", f"must be FIELD=KEY with a field of {', '.join(FIELDS)}", option, "write it as problem=prompt")
        names[name.lower()] = key
    return names


def problem_fields(row: Mapping[str, Any], columns: Columns) -> Fields:
    """The fields of a row that may lack a solution (it is then empty).

    Raises:
        BadProblem: it has no problem.
    """
    key = columns.names.get("solution", "solution")
    chat = next((value for name, value in row.items() if str(name).lower() in CHATS and isinstance(value, list)), None)
    if chat is not None and not any(str(name).lower() == "problem" for name in row):
        row = {"problem": _last_said(chat, ("user", "human"))}
    if any(str(name).lower() == key.lower() and value is not None for name, value in row.items()):
        return columns.read(row)
    if any(str(name).lower() in TEXTS for name in row) and not any(columns.wanted(str(name)) and str(name).lower() in FIELDS for name in row):
        text = next(value for name, value in row.items() if str(name).lower() in TEXTS)
        start = _SOLUTION_START.search(text) if isinstance(text, str) else None
        row = {"problem": _LABEL_AT_END.sub("", text[: start.start()]) if start else text}
    return columns.read({**row, key: ""})


def _text(value: object, name: str, row: Mapping[Any, Any]) -> str:
    if isinstance(value, str):
        return value
    if is_missing(value):
        if name == "solution":
            raise _missing(name, row)
        return ""
    raise BadProblem(name, "must be text", f"{type(value).__name__} {str(value)[:40]}", _SHAPE)


def _missing(name: str, row: Mapping[Any, Any]) -> BadProblem:
    """The refusal of a row without a field: it names the keys of the row, and those that may be meant."""
    keys = [str(key)[:30] for key in list(row)[:12]]
    lower = {key.lower(): key for key in keys}
    meant = {one: next((lower[word] for word in words if word in lower), None) for one, words in _OFTEN.items() if one not in lower}
    options = " ".join(f"--column {one}={key}" for one, key in meant.items() if key is not None) or f"--column {name}=KEY"
    got = f"keys {', '.join(keys)}" if keys else "an object without keys"
    return BadProblem(name, "must be text", got, f"say which key is which, such as {options}, or {_SHAPE}")


def _last_said(chat: Sequence[Any], roles: tuple[str, ...]) -> str | None:
    """The last message of one of these roles, in OpenAI's form (role, content) or ShareGPT's (from, value)."""
    for message in reversed(chat):
        if isinstance(message, Mapping) and message.get("role", message.get("from")) in roles:
            said = message.get("content", message.get("value"))
            if isinstance(said, list):
                said = "".join(str(part.get("text", "")) for part in said if isinstance(part, Mapping))
            return said if isinstance(said, str) else None
    return None
