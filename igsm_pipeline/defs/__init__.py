"""Dagster and MLflow: the stages as assets that people can look at, launch and schedule.

graph/      one asset per stage, what Dagster shows of it, and its checks
tracking/   MLflow: settings and curves of each training, registered models
operating/  jobs, schedule, sensors, executors, the web pages, Dagster's own files
"""
