"""Dagster and MLflow: how the stages become assets that people can look at, launch and schedule.

assets.py      one asset per stage: the pipeline on one screen
stage_runs.py  a stage of a member brought up to date; processes.py runs it as a child
results.py     what Dagster shows of it; checks.py judges it; plots.py draws it
partitions.py  the experiment's members
tracking.py    MLflow: settings and curves of each training; registry.py the registered models
automation.py  jobs, schedule, sensors
location.py    all of it as one code location
launch.py      run members from a terminal; ui.py the web interfaces; instance.py Dagster's own files
"""
