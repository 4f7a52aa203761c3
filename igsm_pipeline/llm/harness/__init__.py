"""The questions of the Inspect task as two tasks of lm-evaluation-harness, which reads this folder: ``lm_eval --include_path``.

igsm.yaml        a number alone
igsm_steps.yaml  every step checked
exam.py          what both call: questions as plain text, and what a reply scores
"""
