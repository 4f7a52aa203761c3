"""Experiments: they declare what is to be computed. An experiment file makes one or several members.

experiment.py   reads an experiment file: settings, grid, members (``mini``, ``depth_med.GPT2-4-21.s0``)
folders.py      finds the folders of experiment files, and remembers those that a data root has used
sections.py     the sections of an experiment file that span stages: training set, evaluation, probes, disk budget
yaml_files.py   reads a YAML file that people write, or says what is wrong with it
slices.py       turns the name of an evaluation slice into a problem set
problem_sets.py the problem sets that an experiment needs, by name
builtin/        the experiments that come with the package
"""

from igsm_pipeline.experiments.experiment import Experiment, ExperimentSettings, Member, find_member, find_members, load_experiments, load_members

__all__ = ["Experiment", "ExperimentSettings", "Member", "find_member", "find_members", "load_experiments", "load_members"]
