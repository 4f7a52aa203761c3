"""MLflow: the curves of each training, and a registry of models.

runs.py      sends settings and curves of each training to MLflow
final.py     sends a finished member's metrics, data sets, report and card
registry.py  registers models and decides the champion
solver.py    solves problems with a registered model
moves.py     corrects addresses after the data root was moved
"""
