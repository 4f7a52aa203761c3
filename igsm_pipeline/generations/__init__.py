"""What a model writes: its solutions of the problems of a slice.

settings.py  what its units depend on
stage.py     the stage as declared
write.py     the stage's code
checks.py    what must hold of its units
"""
