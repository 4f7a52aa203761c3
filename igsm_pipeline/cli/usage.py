"""Reports wrong options and values on the command line, in the grammar of our errors: field, rule, value got, way out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import typer

from igsm_pipeline.errors import did_you_mean

USAGE: Any = typer.BadParameter.__mro__[1]
"""The parser's error class for wrong options and values; typer brings its own copy of click."""

_SAID = (
    (r"Input should be (?P<rule>.*?)(, unable to parse.*)?", "must be {rule}"),
    (r"'(?P<got>.*)' is not a valid (?P<rule>.*)", "must be a valid {rule}"),
    (r"(?P<got>\S+) is not in the range (?P<rule>.*)", "must lie in {rule}"),
    (r"'(?P<got>.*)' is not one of (?P<rule>.*)", "must be one of {rule}"),
    (r"(?P<kind>\w+) '(?P<got>.*)' does not exist", "must be a {kind} that exists"),
    (r"(?P<kind>\w+) '(?P<got>.*)' is a directory", "must be a file and no directory"),
    (r"(?P<kind>\w+) '(?P<got>.*)' is not (?P<rule>\w+)", "must be a {kind} that is {rule}"),
)

_MEANT = {
    "--stage": ("upto", "up-to", "until", "only", "to", "stages", "from", "step", "steps"),
    "--out": ("output", "o", "file", "dest", "to", "target"),
    "--num": ("n", "count", "number", "size", "problems", "samples"),
    "--format": ("fmt", "f", "type"),
    "--jobs": ("workers", "threads", "cores", "processes", "parallel", "procs"),
    "--on": ("gpu", "device", "machine", "hardware"),
    "--model": ("checkpoint", "ckpt", "member", "m"),
    "--yes": ("force", "delete", "remove", "y", "f"),
    "--replace": ("force", "overwrite", "f"),
    "--column": ("field", "key", "rename", "map"),
    "--deep": ("full", "hash", "check"),
}
"""What people call an option elsewhere: offered where a command has the option and no name is nearer."""


def usage_lines(error: Any, words: Sequence[str]) -> str:
    """Two or three lines about a wrong option or value: what is wrong, what may have been meant, and where to find help.

    Args:
        error: what the parser raised (``USAGE``).
        words: the command line, which has the wrong value.
    """
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else " ".join(["igsm", *[word for word in words if not word.startswith("-")][:1]])
    command = context.command if context is not None else None
    message = str(getattr(error, "message", error)).strip().rstrip(".")
    wrong, help_line = _wrong_word(error, command, words, message), f"`{path} --help` shows what it takes"
    if wrong is None:
        wrong, help_line = _wrong_command(command, message), f"`{path} --help` lists them; `igsm status` shows what there is to run"
    return f"{path}: {wrong or message}\n{help_line}"


def _wrong_word(error: Any, command: Any, words: Sequence[str], message: str) -> str | None:
    named, wrong = getattr(error, "option_name", None), None
    if hasattr(error, "possibilities"):
        options = [name for parameter in command.params for name in parameter.opts if name.startswith("--")] if command is not None else []
        near = _nearest_option(str(named), [*options, "--help"])
        wrong = "\n".join(filter(None, (f"option must be one that it has, got {named!r}", near)))
    elif hasattr(error, "param_type"):
        wrong = f"{_name(error)} must be given, got nothing"
    elif named is not None:
        wrong = f"{named} {'must have no value, got one' if 'does not take' in message else 'must have a value, got none'}"
    elif getattr(error, "param", None) is not None or getattr(error, "param_hint", None):
        wrong = _wrong_value(_name(error), message, _value(error, words))
    elif found := re.match(r"Got unexpected extra argument(?:s|\(s\))? \((?P<got>.*)\)", message):
        wrong = f"words must be no more than it takes, got also {found['got']!r}"
    return wrong


def _nearest_option(named: str, options: Sequence[str]) -> str:
    """Ask after the option that may have been meant. Dashes are not compared: all options have them, so that any two would be near."""
    word = named.lstrip("-")
    known = next((option for option in options if word.lower() in _MEANT.get(option, ())), None)
    return f"did you mean {known}?" if known else did_you_mean(word, [option.lstrip("-") for option in options], before="--")


def _wrong_command(command: Any, message: str) -> str | None:
    if found := re.match(r"No such command '?(?P<got>[^']*)'?", message):
        near = did_you_mean(found["got"], command.commands) if command is not None else ""
        return "\n".join(filter(None, (f"command must be one that there is, got {found['got']!r}", near)))
    return "command must be given, got nothing" if message.startswith("Missing command") else None


def _name(error: Any) -> str:
    """The parameter as the user writes it: ``--num``, ``MEMBERS``."""
    parameter = error.param
    if parameter is None:
        return str(error.param_hint)
    longest = max(parameter.opts, key=len)
    return str(longest if longest.startswith("-") else (parameter.metavar or parameter.name.upper()))


def _value(error: Any, words: Sequence[str]) -> str | None:
    """The value that the user gave an option; None for an argument, or if the command line lacks it."""
    options = error.param.opts if error.param is not None else ()
    for word, following in zip(words, [*words[1:], ""], strict=True):
        name, equals, value = word.partition("=")
        if name.startswith("-") and name in options:
            return value if equals else following
        if len(word) > 2 and not word.startswith("--") and word[:2] in options:
            return word[2:]
    return None


def _wrong_value(name: str, message: str, value: str | None) -> str:
    message = message.removeprefix("Value error, ")
    for pattern, rule in _SAID:
        if found := re.fullmatch(pattern, message, re.DOTALL):
            parts = {key: part.lower() if key == "kind" else part for key, part in found.groupdict().items() if part is not None}
            got = parts.get("got", value)
            near = did_you_mean(got or "", re.findall(r"'([^']+)'", parts.get("rule", "")))
            return f"{name} {rule.format(**parts)}{'' if got is None else f', got {got!r}'}{'; ' * bool(near)}{near}"
    return f"{name} is wrong: {message}"
