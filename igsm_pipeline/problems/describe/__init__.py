"""What problems are like: numbers by which a set of problems is compared with the law or with another set.

- ``statistics``: sizes, depths and parents of each problem, and a key that equal problems share.
- ``op_law``: how often each op must come, and how far counts and runs of ops may stray from it.
"""
