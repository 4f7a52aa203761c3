"""Other people's models and tools: evaluate any model that Inspect reaches, serve a published one, an environment for reinforcement.

prompts.py   problems as questions to a model that was not trained on them, with examples
task.py      the Inspect task ``igsm_pipeline/igsm``
replies.py   the number that a reply ends with, the verdict on it
scoring.py   Inspect's scorers and their intervals
harness/     the same as two tasks of lm-evaluation-harness
logs.py      Inspect's logs as a table and a figure
registry.py  what Inspect finds by the package's entry point
gym.py       problems as a reasoning-gym data set
server.py    an OpenAI-compatible server of a published model, on the loopback

``inspect_ai`` and ``reasoning_gym`` come with the extra ``llm``, lm-evaluation-harness with the extra ``harness``; no other room imports them.
"""
