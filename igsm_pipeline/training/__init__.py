"""Training: it trains a model from scratch on windows of tokens. A stopped training resumes and gives the same bits.

loop.py        the training loop: steps, rows, states
trainer.py     a model with its optimizers, and one step of both
steps.py       one optimizer step, computed in micro-batches
one_graph.py   the loss on a GPU: one graph, compiled there
counting.py    counts what a training pass computes and keeps
packed.py      the loss on a CPU, computed without padding
batches.py     which windows each step reads
lanes.py       several micro-batches at once on a CPU
stream.py      windows that are made during the training
optimizers.py  AdamW or Muon, and the learning-rate schedule
muon.py        the Muon optimizer
monitor.py     solves problems during the training
curves.py      writes and reads metrics.jsonl and clock.jsonl
pace.py        how fast a training is, and what holds it up
snapshots.py   weights that are kept along the way
state.py       training states on disk
processes.py   joins the processes that train together
ranks.py       starts the other processes
other_rank.py  the program of the other processes
settings.py    the settings of the stage
stage.py       the declaration of the stage
write.py       the code of the stage
"""
