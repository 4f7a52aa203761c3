"""Every error that this package raises on purpose, as one tree.

    IgsmError                      anything below
    ├── BadInput                   a user's value broke a rule: field, rule, value got, way out
    │   ├── BadSettings            a settings field or experiment file
    │   ├── BadWorld               a world file
    │   ├── BadProblem             a problem text or record that is not an iGSM problem
    │   └── BadCheckpoint          a model folder that cannot be used
    ├── NotFound                   no such experiment, member, stage or unit
    ├── StoreError                 the store refuses: locked, damaged, read-only, full
    │   └── UnitLocked             another process is writing this unit
    └── StageFailed                a stage ran and could not finish (the unit stays resumable)
        └── TransientFault         by a fault that may pass: a kill, a lost connection, a full memory; worth another try

Every message is one sentence that names the field, the rule, the value got and the way out.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from operator import index
from typing import Any

_SHOWN = 400
"""Characters of a value that an error shows."""


class IgsmError(Exception):
    """Base of all errors raised on purpose."""


class BadInput(IgsmError, ValueError):
    """A value from outside broke a rule.

    Args:
        field: where the value stands (a path such as ``world.json: hierarchies[0].layers[2]``).
        rule: what must hold, as "must be ...".
        got: the value found.
        way_out: what to do about it.
    """

    def __init__(self, field: str, rule: str, got: object, way_out: str) -> None:
        self.field, self.rule, self.got, self.way_out = field, rule, got, way_out
        super().__init__(f"{field} {rule}, got {_short(got)}; {way_out}")

    def __reduce__(self) -> tuple[Any, ...]:
        """How it crosses processes: by its four parts, whatever a kind of it is made of, and what else it knows."""
        return _made_again, (type(self), self.field, self.rule, self.got, self.way_out), self.__dict__


def _made_again(kind: type[BadInput], *parts: Any) -> BadInput:
    error = kind.__new__(kind)
    BadInput.__init__(error, *parts)
    return error


class BadSettings(BadInput):
    """A settings field, a command-line option or an experiment file is wrong."""


class BadWorld(BadInput):
    """A world file breaks a rule of names or shape."""


class BadProblem(BadInput):
    """A text or record is not an iGSM problem of the given world."""


class BadCheckpoint(BadInput):
    """A model folder cannot be used."""


class NotFound(IgsmError, LookupError):
    """Something named by the user does not exist; the message lists what does."""


class StoreError(IgsmError):
    """The store cannot do what was asked without endangering what it holds."""


class UnitLocked(StoreError):
    """Another process is writing this unit; the message names its process id."""


class StageFailed(IgsmError):
    """A stage could not finish; what it had done is kept and a rerun resumes."""


class TransientFault(StageFailed):
    """A stage was cut off by something that may pass; the same run, started again, may well finish."""


def must_be(field: str, value: object, kind: type | tuple[type, ...], named: str, way_out: str) -> None:
    """Refuse an argument of a kind that nothing can be done with.

    Args:
        field: name of the argument.
        value: what it is.
        kind: what it must be.
        named: that in words, as "a Problem".
        way_out: how to get one.

    Raises:
        BadInput: it is of another kind.
    """
    if not isinstance(value, kind):
        raise BadInput(field, f"must be {named}", f"{type(value).__name__} {value!r}", way_out)


def whole_number(field: str, value: Any, lowest: int, highest: int | None, way_out: str, kind: type[BadInput] = BadInput) -> int:
    """Return a whole number of any type as an ``int``.

    Args:
        field: name of the argument.
        value: what it is; numpy's whole numbers are whole, ``True``, ``2.0`` and ``"2"`` are not.
        lowest: the least that it may be.
        highest: the most; None: no limit.
        way_out: what to do about another value.
        kind: the error of the place.

    Raises:
        BadInput: it is not one, or out of bounds.
    """
    try:
        number = None if isinstance(value, bool) else index(value)
    except TypeError:
        number = None
    if number is None or number < lowest or (highest is not None and number > highest):
        rule = f"of {lowest} or more" if highest is None else f"from {lowest} to {highest}"
        raise kind(field, f"must be a whole number {rule}", value, way_out)
    return number


def install_extra(name: str) -> str:
    """How to install what only one way of using this package needs: from the checkout, since no package index has the project."""
    return f"`pip install -c constraints.txt -e '.[{name}]'` in the checkout"


def did_you_mean(word: str, words: Iterable[str], *, most: int = 3, before: str = "") -> str:
    """Ask after what may have been meant: "did you mean mini or med?"; "" where nothing is near.

    Args:
        word: as it was written.
        words: what there is.
        most: suggestions at most.
        before: what every suggestion begins with, left out of the comparison.
    """
    known = list(dict.fromkeys(words))
    lower = {name.lower(): name for name in reversed(known)}
    near = [lower[name] for name in get_close_matches(word.lower(), lower, n=most, cutoff=0.6)]
    near += [name for name in known if word and name.lower().startswith(word.lower()) and name not in near]
    near = [f"{before}{name}" for name in near[:most]]
    if not near:
        return ""
    others = f"{', '.join(near[:-1])} or " if near[1:] else ""
    return f"did you mean {others}{near[-1]}?"


def _short(got: object) -> str:
    """A value as an error shows it: its beginning, if it is long."""
    try:
        text = repr(got)
    except ValueError:  # Python writes no numbers of thousands of digits
        return "a number of thousands of digits"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text)} characters)"
