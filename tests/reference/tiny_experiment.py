"""An experiment of two members whose every stage takes seconds."""

from pathlib import Path

from reference.inspect_logs import write_example

MEMBER, SIBLING = "tiny.s0", "tiny.s1"
EXPERIMENT = """
title: every stage in seconds
world: {source: mini}
family: {op_max: 3, ip_max: 4, modulus: 5, op_law: uniform, split_by: problem}
tokens: {segmentation: phrase, vocab: compact}
shards: {num_problems: 512, window: 128}
model: {layers: 2, heads: 2, head_width: 16, partial_rotary_factor: 0.5}
training: {num_steps: 12, batch_windows: 8, warmup_steps: 2, checkpoint_every_steps: 6, accuracy_every_steps: 12, snapshots: 3}
evaluation: {num_problems: 24, problems_per_op: 8, monitor_per_op: 4, max_tokens: 160, slices: ["op<=max", "op=max", "op=max+1", reask, by_op]}
probes: {num_problems: 60, num_steps: 3, batch_problems: 8, held_out: 6, slices: ["op<=max"]}
knowledge: {controls: [control_task, no_layers, permuted], candidate_sets: [all, existing, text, graph]}
interchange: {pairs: 16}
llm_evaluations: {logs: inspect logs}
steering: {problems: 64, strengths: [0.1, 0.4]}
erasure: {problems: 8, fit_problems: 24, draws: 1}
emergence: {problems_per_op: 8, num_steps: 3}
regret: {problems: 8, tries: [2, 3]}
grid: {training.seed: {s0: 0, s1: 1}}
"""


def write_experiment(home: Path) -> Path:
    """Give a data root the tiny experiment."""
    (home / "experiments").mkdir(parents=True, exist_ok=True)
    (home / "experiments" / "tiny.yaml").write_text(EXPERIMENT)
    write_example(home / "experiments" / "inspect logs")
    return home
