"""Error correlation: compares a model's mistakes with what probes read from its states before it made them (figure 8).

written.py    the model's own solutions as documents that queries can be asked in
mistakes.py   finds the unnecessary parameters and the first wrong parameter of a solution
rates.py      how often a probe shares the model's mistake, compared with other queries
predictor.py  predicts from the states at the end of the question whether the solution will be wrong
settings.py   the settings of the stage
stage.py      the declaration of the stage
write.py      the code of the stage
checks.py     the checks of its output
"""
