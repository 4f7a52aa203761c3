"""Problems of one's own: a file of rows, as ``igsm verify`` reads them, becomes what the law's problems are, to train on, evaluate and probe.

settings.py  which file; its content is its fingerprint
solutions.py the order and symbols of a problem's solution: those of the row, or drawn
rows.py      the rows of a file as problems, each refused by field, rule and value where it is none
stage.py     the stage ``own_problems`` as declared; write.py its function; checks.py what must hold of it

``problems.chosen`` takes problem sets from them.
"""
