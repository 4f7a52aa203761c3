"""The results in SQL: one DuckDB file over the store.

views.py    the views, their columns and what these mean
catalog.py  builds the file, answers queries read-only
"""
