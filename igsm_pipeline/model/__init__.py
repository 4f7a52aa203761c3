"""The model: GPT-2 with rotary positions, or any causal model from a folder. This room builds, loads, saves and decodes it.

gpt2_rotary.py  builds, loads and saves the model
control.py      builds the control: the same architecture with fresh weights
foreign.py      finds out whether a model from elsewhere can do what is asked of it
decoding.py     greedy completions of many prompts
beams.py        completions by beam search with sampling
kv_cache.py     the cache of keys and values that decoding uses
device.py       picks the device to compute on
compiling.py    what torch raises where a graph does not compile or cannot be launched
settings.py     the settings of models and of the stage control
stage.py        the declaration of the stage control
write.py        the code of the stage control
checks.py       the checks of model folders
"""
