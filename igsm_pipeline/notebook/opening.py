"""Opens a mind by its name or folder."""

from __future__ import annotations

import os
from pathlib import Path

from igsm_pipeline.errors import NotFound, must_be
from igsm_pipeline.experiments.experiment import find_member
from igsm_pipeline.notebook.member import MemberMind
from igsm_pipeline.notebook.mind import FolderMind, Mind
from igsm_pipeline.notebook.published import PublishedMind
from igsm_pipeline.store import Store
from igsm_pipeline.toolbox.published import is_published

CONFIG = "config.json"
"""A folder with this file is the folder of a model."""


def open_mind(named: str | os.PathLike[str]) -> Mind:
    """Open an experiment's member, a published folder, or the folder of a model. Nothing is computed, and each table is read when you
    ask for it.

    >>> import igsm_pipeline as igsm
    >>> igsm.open("mini")
    <member mini: tables, model, probes>

    Args:
        named: key of a member (``igsm status`` lists them), or a folder with a model and its tokenizer. A string that names both means the
            folder, as in ``igsm solve --model``.

    Returns:
        A ``MemberMind`` for a member, a ``PublishedMind`` for a folder that ``igsm publish`` wrote, a ``FolderMind`` for another folder.

    Raises:
        BadInput: it is neither a string nor a path.
        NotFound: there is no such member, and no folder with a model.
        BadSettings: the experiment file of that name breaks a rule.
    """
    must_be("named", named, (str, os.PathLike), "a member or a folder", "name one (`igsm status` lists the members)")
    folder = Path(named)
    try:
        is_model = (folder / CONFIG).is_file()
    except (OSError, ValueError) as error:  # no file system has such a name
        raise NotFound(
            f"no member and no folder can be named {str(named)[:40]!r} ({type(error).__name__}): `igsm status` lists the members"
        ) from None
    if is_model:
        return PublishedMind(folder) if is_published(folder) else FolderMind(folder)
    if not isinstance(named, str) or folder.is_dir() or os.sep in named:
        raise NotFound(
            f"no model in {folder}: the folder must hold {CONFIG}; name the folder of a checkpoint, or a member (`igsm status` lists them)"
        )
    return MemberMind(find_member(named), Store.at_home())
