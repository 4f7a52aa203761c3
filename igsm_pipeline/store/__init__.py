"""The store: one folder per unit of work, whose address is known before it is computed.

home.py          the data root: where it is, and what cannot be one
unit.py          a unit of work and its address
manifest.py      what a finished unit says about itself
origin.py        by which code and on which machine it was computed
files.py         files written whole, folders replaced, what the disk says in words
locks.py         one process at a time
store.py         freshness with reasons; writing under a lock
housekeeping.py  garbage; altered files shown to everyday checks
archives.py      export and import of units
objects.py       objects on object storage: put once, replaced as they were read
leases.py        who is computing a unit, told to all machines
remote.py        units pushed to object storage and pulled from it
"""

from igsm_pipeline.store.files import half_written, hash_file, hash_unchanged, new_folder, remove_leftovers, write_atomically, written_whole
from igsm_pipeline.store.home import find_home
from igsm_pipeline.store.locks import LOCK, lock_owner, locked
from igsm_pipeline.store.manifest import CLOCK, MANIFEST, content_of, library_versions, read_manifest
from igsm_pipeline.store.store import HALF_DONE, NEVER, PARTIAL, Freshness, Store, Writing
from igsm_pipeline.store.unit import Unit

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
    "half_written",
    "hash_file",
    "hash_unchanged",
    "library_versions",
    "lock_owner",
    "locked",
    "new_folder",
    "read_manifest",
    "remove_leftovers",
    "write_atomically",
    "written_whole",
]
