"""Generations: the solutions that a model writes for the problems of a slice.

settings.py  the settings of the stage
stage.py     the declaration of the stage
write.py     the code of the stage
checks.py    the checks of its output
"""
