"""Activations: the frozen model's states at the places that are read, cached per layer.

forward.py     one forward pass for all queries of a problem; they share the problem's tokens
fixed_rows.py  all problems of a pass in one row of one of three lengths, for GPUs: compiled graphs are used again
batches.py     which problems go through the model together
cache.py       the files of a cache and their keys
computed.py    the same states, computed when they are read and not kept
settings.py    the settings of the stage
stage.py       the declaration of the stage
write.py       the code of the stage
checks.py      the checks of its output
"""
