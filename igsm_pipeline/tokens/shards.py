"""Training windows on disk: one Parquet file per run of problems, columns ``tokens`` (lists of ``window`` ids) and ``length`` (real tokens)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from igsm_pipeline.errors import BadInput
from igsm_pipeline.problems.files import write_parquet
from igsm_pipeline.tokens.table import TokenTable
from igsm_pipeline.tokens.windows import Packed

TABLE_FILE = "table.json"
_COUNTS = b"igsm_pipeline.counts"
_AT_ONCE = 4096
"""Windows that are read at once, besides those that are read already."""


@dataclass(frozen=True)
class Shards:
    """All windows of a unit, in memory (two bytes a token in vocabularies of up to 65,536 ids).

    Attributes:
        tokens: ids, shape (num_windows, window).
        lengths: real tokens per window, shape (num_windows,).
        specials: ids of the special tokens by name (``bos``, ``solution``, ``answer``, ``eos``).
        vocab_size: rows that a model's embedding needs.
    """

    tokens: NDArray[Any]
    lengths: NDArray[np.int32]
    specials: dict[str, int]
    vocab_size: int

    @property
    def num_windows(self) -> int:
        """How many windows there are."""
        return len(self.lengths)

    @property
    def window(self) -> int:
        """Tokens per window."""
        return int(self.tokens.shape[1])

    def read(self, indices: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Windows by number: ids, shape (len(indices), window), and real tokens per window, shape (len(indices),)."""
        return self.tokens[indices], self.lengths[indices]


def shard_path(folder: Path, number: int) -> Path:
    """The file of a shard."""
    return folder / f"shard-{number:05d}.parquet"


def write_shard(packed: Packed, ops: NDArray[np.uint8], vocab_size: int, path: Path) -> None:
    """Write one shard beside its place, then rename it; ``ops`` are those of its problems, kept or dropped, and go into its metadata as counts."""
    ids = pa.array(packed.tokens.reshape(-1).astype(np.uint16 if vocab_size <= 1 << 16 else np.uint32))
    tokens = pa.FixedSizeListArray.from_arrays(ids, packed.tokens.shape[1])
    counts: dict[str, Any] = {"problems": len(ops), "dropped": packed.dropped, "windows": len(packed.lengths), "tokens": int(packed.lengths.sum())}
    counts["op_histogram"], counts["dropped_ops"] = np.bincount(ops).tolist(), np.bincount(ops[~packed.kept]).tolist()
    table = pa.table({"tokens": tokens, "length": pa.array(packed.lengths)}).replace_schema_metadata({_COUNTS: json.dumps(counts).encode()})
    write_parquet(table, path)


def shard_counts(path: Path) -> dict[str, Any]:
    """``problems``, ``dropped``, ``windows`` and ``tokens`` (real ones) of a shard; ``op_histogram`` and ``dropped_ops``, problems by op from 0."""
    found: dict[str, Any] = json.loads(pq.read_schema(path).metadata[_COUNTS])
    return found


def table_facts(table: TokenTable, window: int) -> dict[str, Any]:
    """What ``table.json`` says of the ids: segmentation, vocabulary, modulus, world, size, special ids, window."""
    return {
        **table.settings.canonical(),
        "modulus": table.modulus,
        "world_hash": table.world_hash,
        "size": table.size,
        "window": window,
        "specials": {"bos": table.bos, "solution": table.solution, "answer": table.answer, "eos": table.eos},
    }


def open_shards(folder: Path) -> Shards:
    """Read the windows of a ``token_shards`` unit.

    Raises:
        BadInput: the folder holds no shards.
    """
    paths = sorted(folder.glob("shard-*.parquet"))
    if not paths or not (folder / TABLE_FILE).is_file():
        raise BadInput(f"shards {folder}", "must hold shard-*.parquet and table.json", [path.name for path in paths], "run the stage token_shards")
    facts = json.loads((folder / TABLE_FILE).read_text())
    num_windows = sum(pq.read_metadata(path).num_rows for path in paths)
    kind = pq.read_schema(paths[0]).field("tokens").type.value_type.to_pandas_dtype()
    tokens, lengths, first = np.empty((num_windows, facts["window"]), kind), np.empty(num_windows, np.int32), 0
    for path in paths:
        with pq.ParquetFile(path) as file:
            for part in file.iter_batches(_AT_ONCE):
                own = slice(first, first + part.num_rows)
                tokens[own] = part.column("tokens").flatten().to_numpy().reshape(-1, facts["window"])
                lengths[own] = part.column("length").to_numpy()
                first = own.stop
    return Shards(tokens, lengths, facts["specials"], facts["size"])
