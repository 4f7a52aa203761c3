"""Rows in other people's formats: reads them from any source, finds their fields, corrects their spelling and verifies them.

sources.py   reads a file of any common format into numbered rows
datasets.py  reads a data set in memory
columns.py   finds problem, question, solution and answer of a row
answers.py   reads answers as people write them
spelling.py  replaces other spellings of the same meaning
judging.py   verifies one row, or says why it cannot be verified
hints.py     finds what most failures have in common
pool.py      several processes, with the order kept
"""
