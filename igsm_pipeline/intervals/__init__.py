"""Confidence intervals: how sure a number is.

interval.py   a value with its interval, and how it is written
share.py      a share of successes, Wilson's interval
bootstrap.py  anything else, resampled by problem
"""
