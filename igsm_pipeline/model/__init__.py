"""The model: GPT-2 with rotary positions or any causal model from a folder, loaded, saved and decoded.

gpt2_rotary.py  builds, loads and saves
control.py      the same architecture with fresh weights
decoding.py     greedy completions of many prompts
beams.py        completions by beam search with sampling
kv_cache.py     keys and values of what was read
device.py       where the arithmetic is done
settings.py     what its units depend on
stage.py        the stage as declared
write.py        the stage's code
checks.py       what must hold of its units
"""
