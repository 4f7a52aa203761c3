"""What is to be computed: experiment files, their members, the units each member needs, and which of them are stale.

experiment.py   a declarative file -> settings -> members (``mini``, ``depth_med.GPT2-4-21.s0``)
sections.py     the parts of an experiment file that span stages: training set, evaluation, probes, disk budget
stages.py       the table: stage -> package, settings class, function
planner.py      member -> units in order -> fresh or stale, and why
estimates.py    what the stale ones will cost: problems, tokens, disk, seconds
runner.py       compute one unit or one stage; ``python -m igsm_pipeline.experiments run MEMBER --stage STAGE``
housekeeping.py gc, export and import of units
"""

from igsm_pipeline.experiments.experiment import Experiment, ExperimentSettings, Member, find_member, find_members, load_experiments, load_members

__all__ = ["Experiment", "ExperimentSettings", "Member", "find_member", "find_members", "load_experiments", "load_members"]
