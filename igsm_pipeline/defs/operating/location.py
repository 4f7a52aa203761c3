"""The code location: assets, jobs, schedule, sensors and the one resource.

Steps run in the run's own process unless a Ray cluster is named (``defs.graph.executors``): the work is in child processes anyway, and this saves
seconds per step.
"""

from __future__ import annotations

import dagster as dg

from igsm_pipeline.defs.graph.assets import ASSETS
from igsm_pipeline.defs.graph.executors import chosen_executor
from igsm_pipeline.defs.operating.automation import JOBS, SCHEDULES, SENSORS
from igsm_pipeline.defs.tracking.runs import Tracking

LOCATION = dg.Definitions(
    assets=ASSETS, jobs=JOBS, schedules=SCHEDULES, sensors=SENSORS, resources={"tracking": Tracking()}, executor=chosen_executor()
)
