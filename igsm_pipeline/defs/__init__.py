"""Dagster and MLflow: how the stages become assets that people can look at, launch and schedule.

graph/      one asset per stage, what it shows and the checks that judge it
tracking/   MLflow: settings and curves of each training, registered models
operating/  jobs, schedules, sensors, executors, the web pages, Dagster's own files
"""
