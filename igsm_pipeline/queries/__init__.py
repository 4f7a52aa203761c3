"""Queries: what is asked of a model's state, and the sequences that ask it.

- ``tasks``: the probe tasks, one record each.
- ``facts``: the answers of many queries at once, from records; ``labels``: the same answers one by one, slow and obvious.
- ``draw``: which queries are asked; ``settings``: how many, of which parameters.
- ``documents``: the tokens that stand before a query; ``sequences``: queries packed into rows that share their problem's tokens.
- ``write``: the stage, which writes the queries of a problem set.
- ``stage``: the stage as declared; ``checks``: what must hold of its units.
"""
