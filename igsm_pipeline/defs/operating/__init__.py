"""Operating Dagster: what it loads, what starts runs, and its web pages.

location.py      the code location
automation.py    jobs, the schedule and the sensors
launch.py        runs members from a terminal
waiting.py       says which run holds a pool, and sleeps until it is free
ui.py            starts the web pages
webserver.py     Dagster's webserver
report_pages.py  reports beside it
guard.py         refuses requests of strangers
compute_logs.py  logs of steps, whose helpers end quietly
instance.py      Dagster's own files
"""
