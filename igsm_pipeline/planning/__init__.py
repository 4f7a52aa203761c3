"""From a member of an experiment to its units, what is stale of them and why, and what that will cost.

planner.py    member -> units in the order of the data flow -> fresh or stale, with reasons
novelty.py    says in words what a new unit has that finished ones lack
estimates.py  what the stale units will cost: tokens, disk, seconds
preflight.py  refuses, before anything is computed, a plan that cannot come to its end here
stages.py     the table of stages
disk.py       bytes per unit
"""
