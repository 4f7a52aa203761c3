"""What Dagster loads: the asset graph of igsm_pipeline (see ``defs.location``)."""

from igsm_pipeline.defs.location import LOCATION as defs

__all__ = ["defs"]
