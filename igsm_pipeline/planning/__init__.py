"""From a member of an experiment to its units, what is stale of them and why, and what that will cost.

flow.py       the stages in order, and the units of each that a member needs: the pipeline on one screen
planner.py    fresh or stale, with reasons
novelty.py    what a new unit has that finished ones lack
estimates.py  what the stale units will cost: tokens, disk, seconds
speeds.py     how fast this machine is
measuring.py  measures it
preflight.py  refuses a plan that cannot come to its end here
"""
