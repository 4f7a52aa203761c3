"""Adds the reference pages to the site while MkDocs builds it; the program itself writes them."""

from __future__ import annotations

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from igsm_pipeline.cli.reference import PAGES


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Called by MkDocs when it has listed the files of docs/."""
    for path, write in PAGES.items():
        files.append(File.generated(config, path, content=write()))
    return files
