"""Interventions: change a model's states while it reads, and see whether it then writes something else.

residual.py     reads and replaces the residual stream of any causal model
twins.py        pairs of prompts that differ in their question only
interchange.py  puts one twin's states into the other's reading: what does the model compute first now?
settings.py     whose states are exchanged where, and the settings of the stage
stage.py        the declaration of the stage
write.py        the code of the stage
checks.py       the checks of its output
"""
