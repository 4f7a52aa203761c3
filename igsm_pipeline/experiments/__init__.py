"""What is to be computed, declared: experiment files and the members that they make.

experiment.py   a declarative file -> settings -> members (``mini``, ``depth_med.GPT2-4-21.s0``)
folders.py      where experiment files lie, and which folders a data root has seen
sections.py     the parts of an experiment file that span stages: training set, evaluation, probes, disk budget
slices.py       evaluation slices by name -> problem sets
builtin/        the experiments that come with the package
"""

from igsm_pipeline.experiments.experiment import Experiment, ExperimentSettings, Member, find_member, find_members, load_experiments, load_members

__all__ = ["Experiment", "ExperimentSettings", "Member", "find_member", "find_members", "load_experiments", "load_members"]
