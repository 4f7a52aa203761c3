"""What a notebook uses: ``import igsm_pipeline as igsm`` reaches it (docs/notebook.md shows ten lines).

opening.py  ``igsm.open``: the name of a member, or the folder of a model -> a mind
mind.py     what every mind can do: give its model and tokenizer, solve a problem
member.py   the mind of an experiment's member: its tables as polars frames, its states, its probes
published.py  the mind of a published folder: its tables and probes without a store
frames.py   problems and queries as frames with text and names
probe.py    a trained V-probe, ready to be asked about problems
drawing.py  ``igsm.generate``: fresh problems in one call
"""
