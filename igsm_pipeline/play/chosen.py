"""A member's most telling problems as one HTML file that loads nothing."""

from __future__ import annotations

from pathlib import Path

from igsm_pipeline.errors import BadSettings
from igsm_pipeline.experiments.experiment import find_member
from igsm_pipeline.play.opening import finished_units
from igsm_pipeline.player.page import player_page
from igsm_pipeline.player.scenes import scenes_of_units
from igsm_pipeline.store import Store, write_atomically


def write_page(named: str | None, out: Path) -> int:
    """Write the player of a member.

    Args:
        named: key of the member.
        out: the file; its folder must exist.

    Returns:
        How many problems it holds.

    Raises:
        BadSettings: no member is named, or the file cannot lie there.
        NotFound: no such member, or its model or its probes are not computed.
    """
    if named is None or not out.parent.is_dir():
        rule = "needs a member" if named is None else "must lie in a folder that exists"
        raise BadSettings("--page", rule, str(out), "name a member (`igsm status` lists them)" if named is None else f"make {out.parent} first")
    if Path(named).is_dir():
        way_out = f"name a member, play the folder live with `igsm play {named}`, or open its report.html, which holds such a player"
        raise BadSettings("--page", "needs a member, whose problems and states are in the store", named, way_out)
    settings = find_member(named).settings
    units = finished_units(named, Store.at_home())
    scenes = scenes_of_units(named, units, candidates=settings.probes.candidates, max_tokens=settings.evaluation.max_tokens)
    write_atomically(out, player_page(f"What {named} thinks while it solves", scenes).encode())
    return len(scenes)
