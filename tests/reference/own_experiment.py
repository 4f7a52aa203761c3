"""The experiment ``mine`` of a data root: ``mini`` with changes."""

from pathlib import Path


def declare(home: Path, changes: str, name: str = "mine") -> None:
    """Write ``mine``, or an experiment of another name, or write it again, as ``mini`` with these lines of YAML after it."""
    (home / "experiments").mkdir(parents=True, exist_ok=True)
    (home / "experiments" / f"{name}.yaml").write_text("base: mini\n" + changes)
