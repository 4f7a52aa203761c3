"""Do mistakes show in the mind before they show in the text? What models wrote, against what probes read off their states.

written.py    a model's own solutions as documents that queries can be asked in
mistakes.py   which parameters a model wrote without need, and where it first went wrong
rates.py      how often the probe said so, there and elsewhere
predictor.py  will this solution be wrong? From the probes at the end of the question alone
settings.py   what its units depend on
stage.py      the stage as declared
write.py      the stage's code
checks.py     what must hold of its units
"""
