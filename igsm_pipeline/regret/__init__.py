"""Regret: does the model know that it errs as soon as it has named what cannot be computed yet, and does it help to go back there?

written.py   what is asked along the model's own solutions: every parameter, at the start of every sentence up to the first mistake
judges.py    who says "this cannot be computed next": a probe, the truth, or chance
decoder.py   retry upon regret: greedy, but back to the end of the last sentence where the judge regrets the name
tables.py    the rows of the tables
settings.py  how often a solution may be retried, and the settings of the stage
stage.py     the declaration of the stage
write.py     the code of the stage
checks.py    the checks of its output
"""
