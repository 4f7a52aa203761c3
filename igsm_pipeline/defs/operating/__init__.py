"""Running Dagster: what it loads, what starts runs, the web pages.

location.py      the code location
automation.py    jobs, schedule, sensors
launch.py        members from a terminal
executors.py     where steps run
ui.py            starts the web pages
webserver.py     Dagster's webserver
guard.py         what it refuses from strangers
compute_logs.py  logs of steps that end quietly
instance.py      Dagster's own files
"""
