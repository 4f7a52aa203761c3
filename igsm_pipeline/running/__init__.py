"""Computing what is stale, without Dagster: ``python -m igsm_pipeline.running run MEMBER --stage STAGE``.

runner.py      computes one unit, or every stale unit of one stage
judging.py     judges a stage by its checks, on every route
stage_runs.py  brings a stage up to date in a child process, and says what happened
child.py       a child process that cannot outlive its parent and that stops gently
faults.py      which faults may pass by themselves, and the exit codes
"""
