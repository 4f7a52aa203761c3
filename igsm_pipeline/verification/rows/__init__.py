"""Rows of any shape from anywhere: sources and data sets, columns, spelling, judging, hints, processes."""
