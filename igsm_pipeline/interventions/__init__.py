"""Interventions: change a model's states while it reads, and see whether it then writes something else.

residual.py     reads and replaces the residual stream of any causal model
twins.py        pairs of prompts that differ in their question only
interchange.py  puts one twin's states into the other's reading: what does the model compute first now?
steering.py     pushes states along a probe's direction: does the model compute what the probe was made to believe needed?
effects.py      rows of tables from what either does
settings.py     whose states are exchanged where, and the settings of the stage
stage.py        the declarations of the stages interchange and steering
write.py        the code of the stage interchange
write_steering.py  that of the stage steering
checks.py       the checks of the interchange
"""
