"""Which file of problems the stage ``own_problems`` reads, and what they must be."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field

from igsm_pipeline.errors import BadSettings
from igsm_pipeline.problems.settings import MAX_IP, MAX_OP, FamilySettings
from igsm_pipeline.settings import Settings, runtime_field
from igsm_pipeline.store import hash_unchanged

FIELD = "problems.source"


class OwnProblemSettings(Settings):
    """A file of problems, known to the store by its content, and the parts of a family that its rows must keep to."""

    source: str = runtime_field("", why="the file's content stands for it")
    content: str = Field(pattern="^[0-9a-f]{64}$", description="SHA-256 of the file")
    size: int = Field(ge=0, description="bytes of the file")
    modulus: int = Field(ge=2, le=1000, description="arithmetic is mod this")
    ip_max: int = Field(ge=2, le=MAX_IP, description="most statements of a problem")
    num_symbols: int = Field(ge=1, le=MAX_OP, description="most operations of a problem, and letters of its solution")
    split_by: Literal["template", "problem"] = Field(description="what the train/test hash is taken of")

    @classmethod
    def of(cls, source: Path, family: FamilySettings) -> Self:
        """The settings for a file and a family.

        Raises:
            BadSettings: there is no such file.
        """
        shared = {name: getattr(family, name) for name in ("modulus", "ip_max", "num_symbols", "split_by")}
        return cls(source=str(source), content=content_of_file(source), size=source.stat().st_size, **shared)


def content_of_file(path: Path) -> str:
    """SHA-256 of a file; a file that has not changed is not read again.

    Raises:
        BadSettings: there is no such file.
    """
    if not path.is_file():
        raise BadSettings(FIELD, "must be a file of problems", str(path), "name one that `igsm verify` or `igsm generate` knows, such as JSON lines")
    return hash_unchanged(path)
