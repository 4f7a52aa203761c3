"""The asset graph that Dagster loads and shows.

assets.py      one asset per stage, made from the declarations
partitions.py  the experiments' members
results.py     what Dagster shows of a stage
shown.py       its table and plots as Markdown
retries.py     which faults are tried again
"""
