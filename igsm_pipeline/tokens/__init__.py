"""From problems to token ids: segmentations, the fragment table of a world, direct emission, windows and shards."""

from igsm_pipeline.tokens.emit import Emitted, emit, name_ids
from igsm_pipeline.tokens.settings import ShardSettings, TokenSettings
from igsm_pipeline.tokens.table import TokenTable, build_table

__all__ = ["Emitted", "ShardSettings", "TokenSettings", "TokenTable", "build_table", "emit", "name_ids"]
