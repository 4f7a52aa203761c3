"""How problems are drawn, as kernels.

- ``proposal``: steps 1 to 4 of the law: structure, necessary parameters, their order, extra operations.
- ``unnecessary``: step 5: the statements that the query does not need.
- ``details``: what a proposal leaves open: constants, names, the order of statements, symbols, values.
- ``split``: which problems are for training and which for testing; ``split_problems``: the same by problem, for finished records.
- ``blocks``: many problems of the asked-for ops; ``reask``: a finished problem asked something else; ``retries``: wrong parameters to take back.
- ``random``: the random numbers that all of them draw.
"""
