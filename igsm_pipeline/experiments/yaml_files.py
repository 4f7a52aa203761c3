"""Reads YAML files that people write: whatever lies there, the answer is a value or one line that names the file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from igsm_pipeline.errors import BadSettings

ODD = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""Errors that unusual values raise (lists a thousand levels deep, numbers of five thousand digits); they concern their own file only."""

_NUMBERS = {
    "tag:yaml.org,2002:float": re.compile(
        r"^(?:[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN))$"
    ),
    "tag:yaml.org,2002:int": re.compile(r"^[-+]?(?:0|[1-9][0-9_]*|0x[0-9a-fA-F_]+)$"),
}
"""What is a number: the loader's own forms without those of YAML 1.1 that count in sixties and eights."""

MOST_VALUES = 100_000
"""Ours: values of one file. A few lines of aliases of aliases may stand for billions, which the first message about them would write out."""


def read_yaml(path: Path) -> Any:
    """The value of a YAML file in UTF-8.

    Ours: a key that stands twice is refused, and ``1:30`` and ``010`` are text, as in YAML 1.2, not the numbers 90 and 8.

    Raises:
        BadSettings: it is no such file.
        OSError: it cannot be opened.
    """
    if path.exists() and not path.is_file():  # reading a pipe or a device would never end
        raise BadSettings(str(path), "must be a YAML file", "something else than a file", "correct the file")
    try:
        value = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
        size = _written_out(value, {})
    except (yaml.YAMLError, *ODD) as error:
        text = " ".join(str(error).split())
        raise BadSettings(str(path), "must be a YAML file", text, "correct the file") from None
    if size > MOST_VALUES:
        raise BadSettings(str(path), f"must hold {MOST_VALUES:,} values at most, each alias (*NAME) written out", size, "correct the file")
    return value


def _written_out(value: Any, known: dict[int, int]) -> int:
    """The number of values in a value, where one that several aliases share counts each time; ``known``: what was counted before, by identity."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        known[id(value)] = 1 + sum(_written_out(one, known) for one in (value.values() if isinstance(value, dict) else value))
    return known[id(value)]


class _Loader(yaml.SafeLoader):
    """A YAML loader that refuses a repeated key and takes no clock time or octal for a number, as plain loaders do."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    loader.flatten_mapping(node)
    found: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in found:
            raise yaml.constructor.ConstructorError(None, None, f"key {key!r} stands twice", key_node.start_mark)
        found[key] = loader.construct_object(value_node, deep=True)
    return found


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in pairs if tag not in _NUMBERS] for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _tag, _pattern in _NUMBERS.items():
    _Loader.add_implicit_resolver(_tag, _pattern, list("-+.0123456789"))
_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
