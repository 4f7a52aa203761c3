"""States of the frozen model where something is read, kept per layer.

forward.py   one pass for all queries of a problem, prefixes shared
batches.py   which problems go through the model together
cache.py     the files of a cache and their keys
settings.py  what its units depend on
stage.py     the stage as declared
write.py     the stage's code
checks.py    what must hold of its units
"""
