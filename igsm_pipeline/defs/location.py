"""The code location: assets, jobs, schedule, sensors and the one resource.

The executor runs steps in the run's own process (the work is in child processes anyway), which saves seconds per step.
"""

from __future__ import annotations

import dagster as dg

from igsm_pipeline.defs.assets import ASSETS
from igsm_pipeline.defs.automation import JOBS, SCHEDULES, SENSORS
from igsm_pipeline.defs.tracking import Tracking

LOCATION = dg.Definitions(
    assets=ASSETS, jobs=JOBS, schedules=SCHEDULES, sensors=SENSORS, resources={"tracking": Tracking()}, executor=dg.in_process_executor
)
