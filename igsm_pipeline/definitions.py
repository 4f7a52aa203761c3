"""What Dagster loads: the asset graph of igsm_pipeline (see ``defs.location``)."""

from igsm_pipeline.defs import location

defs = location.LOCATION
