"""Probes: V-probes and linear probes, how they are trained and how good they are.

v_probe.py              a rank-8 change of the embedding and a linear head
v_training.py           trains it, resumable, from several starts
linear.py               a linear probe on cached states
weights.py              probe weights on disk
scoring.py              predictions in, scores with intervals by problem out
dense.py                every parameter at every step
files.py                what the stages of probes read and write
write_v_probe.py        the stage v_probes
write_linear_probes.py  the stage linear_probes
write_scores.py         the stage probe_scores
settings.py             what its units depend on
stage.py                the three stages as declared
checks.py               what must hold of its units
"""
