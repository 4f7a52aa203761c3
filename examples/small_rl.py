"""Reinforcement of the published `small` with TRL's GRPO on problems longer than it was taught: what it lifts and what it costs.

    pip install trl==1.16.0 datasets==5.2.0        # beside this package; nothing else here needs them
    python examples/small_rl.py correct            # or dense, mixed; about ten minutes of one core each
    python examples/small_rl.py all --out data/small_rl

Written before the runs were made; a pilot of 6 steps showed that it runs, and chose nothing. On a busy machine the steps
were cut from 120 to 50 and the problems from 1,024 to 512 before anything was evaluated after training.

Hypotheses. (1) Reward on op = max+1 and max+2 lifts fully correct solutions there. (2) The dense reward lifts no less than 1/0. (3) It costs accuracy
in distribution (op <= max), and problems of 1 to max operations mixed in take most of that cost away.

Design. Three settings, each from the published weights, seed 0, ``STEPS`` steps of GRPO (8 prompts of 8 completions at temperature 1, AdamW, no KL
term): ``correct`` (1/0, half op = max+1, half max+2), ``dense`` (the same problems, the dense reward), ``mixed`` (1/0, half of the problems of 1 to
max operations, the other half as before). Training problems are of the training split, none is drawn twice.

n and statistic. Before and after, greedy, 512 problems of the test split each of op <= max, op = max, max+1 and max+2, the first of those that the
published evaluation used. The statistic is the change of the share of fully correct solutions on the same problems, with the 95% interval of the
bootstrap by problem. One training seed per setting: intervals do not cover seeds.

Refutation. (1) is refuted where the interval of the change at max+1 includes 0 or lies below it; (2) where the interval of dense less correct at
max+1 lies below 0; (3) in its first half where no interval of the change at op <= max lies below 0, in its second where mixed does not lie above
correct there.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray
from transformers import PreTrainedModel
from trl import GRPOConfig, GRPOTrainer

from igsm_pipeline.intervals.bootstrap import interval, mean_of
from igsm_pipeline.intervals.share import share
from igsm_pipeline.model.decoding import complete
from igsm_pipeline.model.gpt2_rotary import load
from igsm_pipeline.problems import ProblemSetSettings, generate
from igsm_pipeline.text import document
from igsm_pipeline.toolbox.completions import end_of_text, load_tokenizer, prompt_ids
from igsm_pipeline.toolbox.published import Published, read_published
from igsm_pipeline.verification import reward, reward_function

FOLDER = Path("data/published/small")
SETTINGS = ("correct", "dense", "mixed")
STEPS, PROMPTS, GROUP, RATE = 50, 8, 8, 2e-4
EVALUATED, MOST_TOKENS = 512, 320
SLICES = ("op<=max", "op=max", "op=max+1", "op=max+2")


def training_problems(published: Published, setting: str, number: int, seed: int) -> list[str]:
    """Texts of training problems in random order."""
    longest = published.family.op_max
    beyond = (1,) if setting == "next" else (1, 2)
    laws: list[tuple[dict[str, Any], int]] = [({"law": "exact", "op": longest + more}, number // len(beyond)) for more in beyond]
    if setting == "mixed":
        laws = [(law, count // 2) for law, count in laws] + [({"law": "range"}, number // 2)]
    texts = []
    for law, count in laws:
        values = {"family": published.family, "split": "train", "num_problems": count, "seed": seed, "stream": "generate", **law}
        for batch in generate(ProblemSetSettings.parse(values, "small_rl"), published.world):
            texts += [document(one, published.family.format).prompt for one in batch]
    random.Random(seed).shuffle(texts)
    return texts


def as_prompt(tokenizer: Any, text: str) -> str:
    """The prompt that this tokenizer reads as the model was taught, whatever markers it adds by itself."""
    wanted = prompt_ids(tokenizer, text)
    for opening in ("", "<|problem|>", f"{end_of_text(tokenizer)}<|problem|>"):
        if tokenizer(f"{opening}{text}<|solution|>")["input_ids"] == wanted:
            return f"{opening}{text}<|solution|>"
    raise ValueError(f"no prompt gives the ids of {text[:60]!r}; publish the model again")


def solve(model: PreTrainedModel, tokenizer: Any, published: Published, name: str, number: int) -> NDArray[np.float64]:
    """1 or 0 for each of the first problems of a slice: solved fully correctly."""
    batch = next(iter(generate(published.slice_settings(name), published.world))).take(slice(0, number))
    problems = list(batch)
    prompts = [np.array(prompt_ids(tokenizer, document(one, published.family.format).prompt)) for one in problems]
    model.eval()
    made = complete(model, prompts, max_tokens=MOST_TOKENS, eos=tokenizer.convert_tokens_to_ids(end_of_text(tokenizer)))
    texts = [tokenizer.decode(ids.tolist(), clean_up_tokenization_spaces=False) for ids in made.tokens]
    return np.array(reward(problems, texts, world=published.world)) * made.finished


def train(
    setting: str, folder: Path, out: Path, *, steps: int = STEPS, seed: int = 0, learning_rate: float = RATE
) -> tuple[PreTrainedModel, list[float]]:
    """Train a published model with GRPO; gives it back with the mean reward of each step.

    Args:
        setting: correct, dense or mixed; next: 1/0 on op = max+1 alone.
        folder: of the published model; it stays as it is.
        out: where TRL writes.
        steps: of GRPO.
        seed: of problems and sampling.
        learning_rate: at its top.
    """
    published, tokenizer = read_published(folder), load_tokenizer(folder)
    tokenizer.padding_side, tokenizer.pad_token, tokenizer.eos_token = "left", end_of_text(tokenizer), end_of_text(tokenizer)
    model = load(folder)
    texts = training_problems(published, setting, steps * PROMPTS, seed)
    rewards = reward_function("dense" if setting == "dense" else "correct", world=published.world, modulus=published.family.modulus)
    config = GRPOConfig(
        output_dir=str(out),
        max_steps=steps,
        per_device_train_batch_size=PROMPTS * GROUP,
        num_generations=GROUP,
        max_completion_length=MOST_TOKENS,
        learning_rate=learning_rate,
        lr_scheduler_type="constant_with_warmup",
        warmup_steps=min(5, steps),
        temperature=1.0,
        beta=0.0,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        bf16=False,
        disable_tqdm=True,
        seed=seed,
    )
    data = Dataset.from_dict({"prompt": [as_prompt(tokenizer, text) for text in texts]})
    trainer = GRPOTrainer(model=model, reward_funcs=[rewards], args=config, train_dataset=data, processing_class=tokenizer)
    trainer.train()
    return trainer.model, [line["reward"] for line in trainer.state.log_history if "reward" in line]


def changed(before: NDArray[np.float64], after: NDArray[np.float64]) -> str:
    """The change of a share on the same problems, in points, with its interval."""
    change = after - before
    return interval(np.stack([change, np.ones_like(change)], axis=1), mean_of, scale=(-1, 1)).percent()


def main() -> None:
    """Train and evaluate the settings asked for, and print what changed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("setting", choices=[*SETTINGS, "all"])
    parser.add_argument("--model", type=Path, default=FOLDER)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--evaluated", type=int, default=EVALUATED)
    parser.add_argument("--out", type=Path, default=Path("data/small_rl"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    published, tokenizer = read_published(options.model), load_tokenizer(options.model)
    options.out.mkdir(parents=True, exist_ok=True)
    number, untrained = options.evaluated, load(options.model)
    before = {name: solve(untrained, tokenizer, published, name, number) for name in SLICES}
    for setting in SETTINGS if options.setting == "all" else (options.setting,):
        started = time.process_time()
        model, curve = train(setting, options.model, options.out / setting, steps=options.steps, learning_rate=options.rate)
        spent = time.process_time() - started
        first, last = np.mean(curve[:10]), np.mean(curve[-10:])
        print(
            f"{setting}: {len(curve)} steps, {spent:.0f} s of processor time, mean reward of the first 10 steps {first:.3f}, of the last {last:.3f}"
        )
        after = {name: solve(model, tokenizer, published, name, number) for name in SLICES}
        for name in SLICES:
            shares = [share(int(values[name].sum()), number).percent() for values in (before, after)]
            print(f"  {name:<10} before {shares[0]}, after {shares[1]}, change {changed(before[name], after[name])}, n = {number}", flush=True)
        solved = {when: {name: one.tolist() for name, one in values.items()} for when, values in (("before", before), ("after", after))}
        kept = {"setting": setting, "steps": options.steps, "rate": options.rate, "rewards": curve, **solved}
        (options.out / f"{setting}.json").write_text(json.dumps(kept))
    for one, other in (("dense", "correct"), ("mixed", "correct")):
        files = [options.out / f"{name}.json" for name in (one, other)]
        if all(file.exists() for file in files):
            runs = [json.loads(file.read_text())["after"] for file in files]
            for name in SLICES:
                print(f"{one} less {other}, {name}: {changed(np.array(runs[1][name]), np.array(runs[0][name]))}")


if __name__ == "__main__":
    main()
