"""The asset graph.

assets.py      one asset per stage: the pipeline on one screen
partitions.py  the experiments' members
results.py     what Dagster shows of a stage; tables.py and plots.py make it; checks.py judges it
retries.py     which faults are tried again
"""
