"""Tokens: from problems to token ids and training windows, and back to text.

- ``fragments``: the closed language, a list of text fragments that every document is made of.
- ``table``: token ids of each fragment; ``vocabulary``, ``bpe`` and ``foreign``: where these ids come from.
- ``walk``: a record as a list of fragments; ``emission``: records as token ids.
- ``retries``: wrong parameters that are named and taken back, written into documents and read out of completions.
- ``drills``: solutions without a problem, in which the symbols alone tell the values; they stand beside the documents.
- ``windows``: documents as training windows; ``shards``: windows on disk; ``write``: the stage.
- ``tokenizer``: the files that ``transformers.AutoTokenizer`` loads. ``settings``: segmentation, vocabulary, windows.
- ``stage``: the stage as declared; ``checks``: what must hold of its units.

The functions below are loaded when they are first used. So a plan, which needs settings alone, does not wait for the compiler.
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
