"""Which world an experiment uses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from igsm_pipeline.errors import BadSettings, BadWorld
from igsm_pipeline.settings import Settings, runtime_field
from igsm_pipeline.world.world import World, load_world


class WorldSettings(Settings):
    """A world by name or path; known to the store by content.

    Ours: a file enters by what it says, never by where it lies. So ``canonical()`` is ``{"content": hash of the names, "lenient": bool}``
    and reads the file to know it; ``source`` is left out, and travels to the stage as a runtime value. A file that asks for leniency itself
    counts as lenient.
    """

    source: str = runtime_field("igsm", why="built-in name or path; the content stands for it", min_length=1)
    lenient: bool = Field(False, description="accept names that break the rules as other people's worlds do")
    content: str | None = Field(None, pattern="^[0-9a-f]{64}$", description="content hash that the source must have; filled in by resolve()")

    def load(self) -> World:
        """The world.

        Raises:
            NotFound: there is no such name or file.
            BadWorld: the file breaks a rule.
            BadSettings: the file's content is not the one asked for.
        """
        if Path(self.source).is_fifo():  # reading it would never end
            raise BadWorld(self.source, "must be a file", "a pipe", "name a file")
        world = load_world(self.source, lenient=self.lenient)
        if self.content is not None and world.content_hash != self.content:
            raise BadSettings(
                f"world {self.source}",
                f"must still have content {self.content}",
                world.content_hash,
                "restore the file, or plan again to use it as it is",
            )
        return world

    def resolve(self) -> WorldSettings:
        """The same settings with content filled in and leniency settled, from the file as it is now; raises what ``load`` raises."""
        world = self.load()
        return WorldSettings(source=self.source, lenient=world.lenient, content=world.content_hash)

    def canonical(self) -> dict[str, Any]:
        """Content hash and leniency, the source left out. Reads the file unless ``content`` is filled in, raising what ``load`` raises."""
        settled = self if self.content is not None else self.resolve()
        return {"content": settled.content, "lenient": settled.lenient}
