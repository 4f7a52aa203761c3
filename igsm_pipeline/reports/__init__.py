"""What the units of a member say, as one self-contained page: results first, a chapter for each question, provenance last.

It reads the store and computes nothing anew, but for what the probes say of the problems that can be played.

findings.py      role -> folder becomes rows: verdicts, probe scores, training curves, correlation
results.py       the numbers of one member by name, and how they are said
paper.py         the paper's own values, and which of them stand beside ours
paper_rows.py    rows of the paper's tables with n and 95% intervals
charts/          rows become Vega-Lite charts: live in a browser, drawings without JavaScript and on paper
sections/        what the page says, chapter by chapter
page.py          sections, charts and tables as one HTML file that loads nothing from elsewhere
page.css, .js    its look, and the script that draws its charts live
report.py        the chapters in order
graphs.py        a problem's structure and dependency graph, drawn
example.py       solutions chosen to be shown
figures.py       matplotlib's figures for Dagster's thumbnails
data_figures.py  the same, of problem sets and shards
stage_tables.py  the table that stands beside a stage
stage_plots.py   the plots that stand beside a stage
settings.py      what its units depend on
stage.py         the stage as declared
write.py         the stage's code
checks.py        what must hold of its units
"""
