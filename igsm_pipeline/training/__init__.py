"""Training from scratch: windows in, a checkpoint out, resumable to the bit.

loop.py        the training loop
steps.py       one optimizer step from micro-batches
packed.py      the loss on a CPU, on real tokens alone
batches.py     which windows a step reads
lanes.py       micro-batches side by side on a CPU
stream.py      windows made while training
optimizers.py  AdamW or Muon, and the schedule
muon.py        Muon
monitor.py     problems solved while training
curves.py      metrics.jsonl and clock.jsonl
state.py       training states on disk
processes.py   ranks and signals
ranks.py       several processes, started by the first
other_rank.py  the program of the others
settings.py    what its units depend on
stage.py       the stage as declared
write.py       the stage's code
"""
