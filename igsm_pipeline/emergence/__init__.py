"""Emergence: when in its training does a model come to solve problems, and when can what it knows be read from its states?

half_gain.py   the tokens at which half of the final gain is reached
write.py       the stage emergence: every snapshot of a training solves problems and is probed
settings.py    the settings of the stage
stage.py       the declaration of the stage
"""
