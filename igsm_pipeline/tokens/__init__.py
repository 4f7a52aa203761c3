"""From problems to token ids: segmentations, the fragment table of a world, direct emission, windows and shards.

The functions below are loaded when they are first used, so that a plan, which needs settings alone, does not wait for the compiler.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from igsm_pipeline.tokens.settings import ShardSettings, TokenSettings

if TYPE_CHECKING:
    from igsm_pipeline.tokens.emission import Emitted, emit, name_ids
    from igsm_pipeline.tokens.table import TokenTable, build_table

__all__ = ["Emitted", "ShardSettings", "TokenSettings", "TokenTable", "build_table", "emit", "name_ids"]
_MODULES = {"emission": ("Emitted", "emit", "name_ids"), "table": ("TokenTable", "build_table")}


def __getattr__(name: str) -> object:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
