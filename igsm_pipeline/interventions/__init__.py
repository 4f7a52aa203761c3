"""Interventions: change a model's states while it reads, and see whether it then writes something else.

residual.py     reads and replaces the residual stream of any causal model
twins.py        pairs of prompts that differ in their question only
interchange.py  puts one twin's states into the other's reading: what does the model compute first now?
steering.py     pushes states along a probe's direction: does the model compute what the probe was made to believe needed?
leace.py        erasers: the smallest change after which no linear classifier tells a concept
erasure.py      concepts are erased at a layer: what is solved and written without them, and what can be read?
effects.py      rows of tables from what either does
settings.py     whose states are exchanged where, and the settings of the stage
stage.py        the declarations of the stages interchange, steering and erasure
write.py        the code of the stage interchange
write_steering.py, write_erasure.py  those of the stages steering and erasure
checks.py       the checks of interchange and erasure
"""
