"""Planning: from a member of an experiment to its units, to what is stale and why, and to its cost.

flow.py       the stages in order, and the units of each stage that a member needs: the pipeline on one screen
wiring.py     what a stage's part of it works with: the units so far, and how one is added
planner.py    what is fresh and what is stale, with reasons
novelty.py    how a new unit differs from finished ones
estimates.py  the cost of stale units: tokens, disk, seconds
speeds.py     the speeds of a machine
measuring.py  measures the speeds of this machine
preflight.py  refuses a plan that cannot be completed on this machine
"""
