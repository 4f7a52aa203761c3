"""Evaluations of anyone's models on iGSM, from the logs that Inspect wrote: read without Inspect, kept as tables.

settings.py  which folder of logs; its content is its fingerprint
logs.py      a log as rows: a zip (``.eval``) or JSON, of the task ``igsm``
shares.py    answers as shares by number of operations, with intervals
stage.py     the stage ``llm_evaluations`` as declared; write.py its function; checks.py what must hold of it

The task itself, which asks the models, is ``igsm_pipeline.llm.task``.
"""
