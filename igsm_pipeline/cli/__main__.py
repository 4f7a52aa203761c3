"""``python -m igsm_pipeline.cli``: the same as ``igsm``."""

from igsm_pipeline.cli import main

main()
