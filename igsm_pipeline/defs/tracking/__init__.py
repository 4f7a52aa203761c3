"""MLflow: the curves of each training, and a registry of models.

notes.py     what is noted of trainings and registered models, readable without MLflow
runs.py      sends settings and curves of each training to MLflow
final.py     sends a finished member's metrics, data sets, report and card
registry.py  registers models and decides the champion
solver.py    solves problems with a registered model
addresses.py where MLflow's pages are, and names that it takes
members_view.py the table where members are compared
moves.py     corrects addresses after the data root was moved
"""
