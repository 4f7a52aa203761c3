"""``igsm play``: a page on this machine where one draws or types a problem, the model solves it, and the probes are read into the player.

opening.py   from a member or a published folder to the files of a mind
asking.py    a drawn or a typed problem; where in a text a refusal points
live.py      the model behind the page, loaded while the page is open already
model_process.py what the model's own process does: load, solve, read
app.py       the page and its two questions, draw and solve
chosen.py    a member's most telling problems as a file that loads nothing
serving.py   finds a port and serves until it is stopped
static/      the script and style of the page, beside the player's
"""
