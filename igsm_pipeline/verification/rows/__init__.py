"""Rows of any shape from anywhere: sources and data sets, columns, spelling, judging, hints, processes.

sources.py   a file in any common format -> numbered rows
datasets.py  a data set in memory -> rows
columns.py   a row -> problem, question, solution, answer
answers.py   answers as people write them
spelling.py  other spellings of the same meaning
judging.py   one row -> its verdict, or why it has none
hints.py     what most failures have in common
pool.py      several processes, order kept
"""
