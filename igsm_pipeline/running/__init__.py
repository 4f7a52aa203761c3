"""Running: it computes what is stale, without Dagster: ``python -m igsm_pipeline.running run MEMBER --stage STAGE``.

runner.py      computes one unit, or every stale unit of one stage
sharing.py     units pulled from and pushed to other machines
judging.py     runs the checks of a stage
stage_runs.py  brings a stage up to date in a child process, and reports the result
cards.py       the GPUs of this machine, leased
child.py       a child process that ends with its parent and stops gently
faults.py      which faults may disappear in a rerun, and the exit codes
"""
