"""Probes: they read from a model's states what it knows about a problem. This room trains them and scores them.

v_probe.py              the V-probe: a low-rank update of the model's input embedding, and a linear head
v_training.py           trains a V-probe from several starts; a stopped training resumes
prior.py                how common a probe takes each answer to be
control_task.py         answers that say nothing of a model: a random function of the query, those of other queries
convergence.py          scores a V-probe on held-out problems as it trains
linear.py               the linear probe: a linear classifier on cached states, the baseline
text_probe.py           the floor: what trees on local features of the text know, no model
text_features.py        these features
weights.py              writes weights to disk
scoring.py              turns predictions into scores with confidence intervals
dense.py                asks a V-probe about every parameter at every step
files.py                reads the stages' inputs, and makes the rows of predictions.parquet
write_v_probe.py        the stage v_probes
write_linear_probes.py  the stage linear_probes
write_scores.py         the stage probe_scores
settings.py             the settings of the three stages
stage.py                the declarations of the three stages
checks.py               the checks of their outputs
"""
