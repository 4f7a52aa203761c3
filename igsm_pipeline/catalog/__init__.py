"""The catalog: the results in SQL, as one DuckDB file over the store.

views.py    the tables and views, with their columns and meanings
catalog.py  builds the file, and answers read-only queries
"""
