"""MLflow: what was trained, and the models to choose from.

runs.py      settings and curves of each training
registry.py  registered models and the champion
solver.py    a registered model that solves
moves.py     addresses that follow a moved data root
"""
