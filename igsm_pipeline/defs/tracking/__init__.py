"""MLflow: runs.py logs settings and curves of each training, registry.py registers models, solver.py serves them."""
