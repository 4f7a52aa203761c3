"""What the report says, one module per chapter: each finds its numbers, says what they mean in a sentence, and draws them.

opening.py     the first screen
solving.py     does it solve, and beyond what it was taught
planning.py    does it plan
knowing.py     what does it know, and is that the model or the probe
controls.py    is it the model: the same probes where there is nothing to read
candidate_sets.py  does that rest on what is asked about
mistakes.py    do mistakes show first
network.py     where in the network
using.py       does it use what it knows
other_models.py  how other people's models do
steering.py    can its plan be pushed
erasure.py     does it need what can be read
emergence.py   when does it come
regret.py      does it know that it errs
examples.py    problems worked through
background.py  how it learned, the problems, what is missing, where the numbers come from
"""
