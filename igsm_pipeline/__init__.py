"""igsm_pipeline."""
