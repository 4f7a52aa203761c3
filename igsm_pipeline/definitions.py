"""What Dagster loads: the asset graph of igsm_pipeline (see ``defs.operating.location``)."""

from igsm_pipeline.defs.operating import location

defs = location.LOCATION
