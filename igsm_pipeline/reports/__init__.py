"""What the units of a member say, as tables, figures and one self-contained page; reads the store, computes nothing anew.

findings.py      role -> folder becomes rows: verdicts, probe scores, training curves, correlation
paper.py         the paper's own values
paper_rows.py    rows of the paper's tables with n and 95% intervals
figures.py       the paper's figures in miniature
data_figures.py  figures of problem sets and shards
graphs.py        a problem's structure and dependency graph, drawn
mind.py          figures and words about the mental state
example.py       worked examples
page.py          tables and figures as one HTML file that loads nothing from elsewhere
report.py        what the report says, section by section
stage_tables.py  the table that stands beside a stage
stage_plots.py   the plots that stand beside a stage
settings.py      what its units depend on
stage.py         the stage as declared
write.py         the stage's code
checks.py        what must hold of its units
"""
