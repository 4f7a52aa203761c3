"""What the units of a member say, as tables, figures and one self-contained page; reads the store, computes nothing anew.

findings.py  role -> folder becomes rows: verdicts, probe scores, training curves, correlation
tables.py    rows of the paper's tables with n and 95% intervals
figures.py   the paper's figures in miniature
graphs.py    a problem's structure and dependency graph, drawn
gallery.py   docs/gallery.md: a problem of each family with graphs, solution, labels and damaged solutions
page.py      tables and figures as one HTML file that loads nothing from elsewhere
report.py    what the report says, section by section
stage.py     the stage ``report``
views.py     what can be asked of the store in SQL
catalog.py   the DuckDB file that holds these views
"""
