"""Confidence intervals of shares and scores.

interval.py   a value with its interval, and its text form
share.py      shares of successes, with Wilson's interval
bootstrap.py  all other scores, resampled by problem
hierarchy.py  means over seeds: model seeds, probe seeds and problems resampled
"""
