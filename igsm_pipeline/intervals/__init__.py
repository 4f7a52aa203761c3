"""Confidence intervals: how sure a number is.

share.py      a share of successes, Wilson's interval
bootstrap.py  anything else, resampled by problem
"""
