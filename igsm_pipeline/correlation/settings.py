"""What the error correlation is computed from."""

from __future__ import annotations

from pydantic import Field

from igsm_pipeline.problems.settings import FamilySettings
from igsm_pipeline.queries.settings import Candidates
from igsm_pipeline.settings import Settings, runtime_field
from igsm_pipeline.tokens.settings import TokenSettings


class CorrelationSettings(Settings):
    """Figure 8 and the mistake predictor.

    Source: figure 8 (nece on reask; can_next and nece_next at the first wrong parameter). Ours: the comparison sets, the intervals, the predictor.
    """

    family: FamilySettings
    tokens: TokenSettings = TokenSettings()
    candidates: Candidates = Field("existing", description="parameters that are asked about beside those of the events")
    num_folds: int = Field(5, ge=2, le=50, description="of the predictor's cross-validation; all slices of one problem row share a fold")
    l2: float = Field(1e-2, gt=0, description="penalty of the predictor's logistic regression, features standardised")
    min_events: int = Field(5, ge=2, description="fewest solutions of either kind for the predictor to be fitted")
    num_resamples: int = Field(1000, ge=100, description="bootstrap resamples behind each interval")
    seed: int = Field(0, ge=0, description="seed of folds and bootstrap")
    device: str = runtime_field("auto", why="where the arithmetic is done; results differ by rounding only")
    max_tokens: int = runtime_field(16384, why="padded tokens per evaluation pass; passes do not see one another", ge=64)
