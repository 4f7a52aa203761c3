"""The asset graph in Dagster.

assets.py      one asset per stage, made from the declarations
partitions.py  the experiments' members as partitions
results.py     what Dagster shows beside a materialization
links.py       from a stage to its section of the report
shown.py       a stage's table and plots as Markdown
retries.py     which faults are retried
executors.py   where steps run, and what each asks a cluster for
"""
