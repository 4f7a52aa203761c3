"""The store: one folder per unit of work, whose address is known before it is computed.

store.py         units, freshness with reasons, writing under a lock, manifests
housekeeping.py  garbage, export and import of units
"""

from igsm_pipeline.store.store import (
    CLOCK,
    HALF_DONE,
    LOCK,
    MANIFEST,
    NEVER,
    PARTIAL,
    Freshness,
    Store,
    Unit,
    Writing,
    content_of,
    find_home,
    hash_file,
    library_versions,
    read_manifest,
    write_atomically,
)

__all__ = [
    "CLOCK",
    "HALF_DONE",
    "LOCK",
    "MANIFEST",
    "NEVER",
    "PARTIAL",
    "Freshness",
    "Store",
    "Unit",
    "Writing",
    "content_of",
    "find_home",
    "hash_file",
    "library_versions",
    "read_manifest",
    "write_atomically",
]
