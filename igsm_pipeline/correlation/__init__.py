"""Do mistakes show in the mind before they show in the text? What models wrote, against what probes read off their states.

written.py    a model's own solutions as documents that queries can be asked in
mistakes.py   which parameters a model wrote without need, and where it first went wrong
predictor.py  will this solution be wrong? From the probes at the end of the question alone
stage.py      the stage ``error_correlation``
"""
