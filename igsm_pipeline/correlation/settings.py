"""Settings of the error correlation."""

from __future__ import annotations

from pydantic import Field

from igsm_pipeline.probes.settings import Precision
from igsm_pipeline.problems.settings import FamilySettings
from igsm_pipeline.queries.settings import Candidates
from igsm_pipeline.settings import Settings, runtime_field
from igsm_pipeline.tokens.settings import TokenSettings


class CorrelationSettings(Settings):
    """How to compute figure 8 and the mistake predictor.

    Source: figure 8 (nece on reask; can_next and nece_next at the first wrong parameter). Ours: the comparison sets, the intervals, the predictor.
    """

    family: FamilySettings
    tokens: TokenSettings = TokenSettings()
    candidates: Candidates = Field("existing", description="which parameters are asked about, besides those of the events")
    precision: Precision = Field("fp32", description="of the model's matrix products: as in ``probe_scores``; auto: bf16 on GPUs, fp32 on CPUs")
    num_folds: int = Field(5, ge=2, le=50, description="folds of the predictor's cross-validation; a problem row has the same fold in all slices")
    l2: float = Field(1e-2, gt=0, description="penalty of the predictor's logistic regression; features are standardised")
    min_events: int = Field(20, ge=2, description="fewest solutions with and without the target for a predictor to be fitted")
    num_resamples: int = Field(1000, ge=100, description="bootstrap resamples behind each interval")
    seed: int = Field(0, ge=0, description="seed of folds and bootstrap")
    device: str = runtime_field("auto", why="where to compute; results differ by rounding only")
    max_tokens: int = runtime_field(16384, why="most tokens per forward pass, padding included; passes are independent", ge=64)
