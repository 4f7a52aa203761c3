"""The base of every stage's settings: frozen, closed, with one canonical form.

Settings are what a stage's output depends on. Two settings objects that are equal in canonical form give the
same fingerprint and therefore share one folder of the store; whatever cannot change a result (workers, device,
evaluation batch) is declared with ``runtime_field`` and stays out of it. A field that is added later is declared with ``added_field``.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from igsm_pipeline.errors import BadSettings, did_you_mean

_RUNTIME = {"fingerprint": False}
_ADDED = {"added": True}
LARGEST = 2**63 - 1
"""Ours: the largest whole number of a setting; tables and tensors hold no larger one."""


def runtime_field(default: Any, *, why: str, **rules: Any) -> Any:
    """A pydantic field that is left out of the fingerprint; ``why`` says why it cannot change a result."""
    return Field(default, description=why, json_schema_extra=dict(_RUNTIME), **rules)


def added_field(default: Any, *, description: str, **rules: Any) -> Any:
    """A pydantic field that came after units had been made without it: at its default they stay as fresh as they were.

    The default must mean what the stage did before the field existed. Only another value enters the canonical form.
    """
    return Field(default, description=description, json_schema_extra=dict(_ADDED), **rules)


def canonical_json(value: Any) -> str:
    """The one text form of a JSON value: sorted keys, no spaces, ASCII only."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def hash_json(value: Any) -> str:
    """The first 20 hexadecimal digits (80 bits) of the SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:20]


class Settings(BaseModel):
    """Frozen pydantic model that refuses unknown keys and knows its canonical form."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _yes_and_no_are_no_numbers(cls, values: Any) -> Any:
        for name, field in cls.model_fields.items() if isinstance(values, dict) else ():
            given = values.get(name)
            if any(isinstance(one, bool) for one in (given if isinstance(given, (list, tuple)) else (given,))) and not _may_be_bool(field.annotation):
                raise ValueError(f"{name} must be no true or false (which YAML also reads from yes, no, on and off), got {given}: correct the value")
        return values

    @model_validator(mode="after")
    def _whole_numbers_fit_a_table(self) -> Self:
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, int) and abs(value) > LARGEST:
                raise ValueError(f"{name} must be at most {LARGEST}, the largest whole number of a table, got {value:.6g}: correct the value")
        return self

    def __init__(self, **values: Any) -> None:
        """Settings from keywords.

        Raises:
            BadSettings: naming the class and the first wrong field, its rule and the value got.
        """
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise _refusal(type(self), error, type(self).__name__) from None

    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # so pydantic goes by it for the outermost settings alone

    @classmethod
    def parse(cls, values: Any, where: str) -> Self:
        """Settings from plain values (a YAML mapping, say).

        Raises:
            BadSettings: naming ``where`` and the path of the first wrong field, its rule and the value got.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise _refusal(cls, error, where) from None

    def canonical(self) -> dict[str, Any]:
        """The settings as JSON values; runtime fields, and added fields at their defaults, are left out at every depth."""
        out: dict[str, Any] = {}
        for name, field in type(self).model_fields.items():
            marks, value = field.json_schema_extra, getattr(self, name)
            if isinstance(marks, dict) and (marks.get("fingerprint") is False or (marks.get("added") is True and value == field.default)):
                continue
            out[name] = _plain(value)
        return out

    def runtime(self) -> dict[str, Any]:
        """The runtime fields of this object (nested ones keep their defaults): ``parse({**canonical(), **runtime()})`` gives equal settings."""
        fields = type(self).model_fields.items()
        names = [name for name, field in fields if isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("fingerprint") is False]
        return {name: _plain(getattr(self, name)) for name in names}

    def fingerprint(self) -> str:
        """Hash of the canonical form."""
        return hash_json(self.canonical())


def _refusal(cls: type[Settings], error: ValidationError, where: str) -> BadSettings:
    """The first of what pydantic found, in our words."""
    first = error.errors()[0]
    path = ".".join(str(part) for part in first["loc"])
    place = f"{where}: {path}".removesuffix(": ")
    if first["type"] == "extra_forbidden":
        parent: Any = cls
        for part in first["loc"][:-1]:
            field = getattr(parent, "model_fields", {}).get(part)
            parent = field.annotation if field is not None else None
        known = sorted(getattr(parent, "model_fields", {}))
        near = did_you_mean(str(first["loc"][-1]), known)
        way_out = f"{near}{' ' * bool(near)}known settings are {', '.join(known) or 'see the documentation'}"
        return BadSettings(place, "must be a known setting", first["input"], way_out)
    if first["type"] == "value_error":
        return _judged(where, path, str(first["ctx"]["error"]), first["input"])
    rule = "must hold: " + first["msg"][0].lower() + first["msg"][1:]
    return BadSettings(place, rule, first["input"], "correct the value")


def _may_be_bool(annotation: Any) -> bool:
    return annotation in (bool, Any) or any(_may_be_bool(part) for part in get_args(annotation))


class _Said(str):
    """A value that a message shows without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _judged(where: str, path: str, sentence: str, value: Any) -> BadSettings:
    """The error of a validator of ours. It says ``FIELD RULE, got VALUE: WAY OUT``; without a value, that of the field is shown."""
    field, _, rest = sentence.partition(" ")
    before, _, way_out = rest.rpartition(": ")
    rule, said, got = before.partition(", got ")
    if not said:
        for part in field.split(".") if isinstance(value, dict) else ():
            value = value.get(part) if isinstance(value, dict) else value
    place = path if path.rsplit(".", maxsplit=1)[-1] == field else f"{path}.{field}".lstrip(".")
    return BadSettings(f"{where}: {place}", rule, _Said(got) if said else value, way_out)


def _plain(value: Any) -> Any:
    if isinstance(value, Settings):
        return value.canonical()
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return value
