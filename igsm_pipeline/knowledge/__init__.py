"""Knowledge: is what a V-probe reads the model's? The same probe where there is nothing to read, and how short a code it gives.

code_length.py     how many bits the answers cost somebody who has the states: the online code
candidate_sets.py  the same probes on every candidate set
write.py           the stage probe_controls: V-probes beside their controls, on the same queries
settings.py        the settings of the stage
stage.py           the declaration of the stage
checks.py          the check of its output
"""
