"""What beams cost beside greedy: passes on problems of med, counted, and processor time of the published `small`.

    python -m benchmarks.beams [--problems 256] [--beams 4]

Passes are counted as if each completion were the reference, so that a batch takes as many as its longest. Times are processor time of one thread.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from igsm_pipeline.model.beams import batches_of, complete_with_beams
from igsm_pipeline.model.decoding import ROWS, Completions, complete
from igsm_pipeline.model.gpt2_rotary import load
from igsm_pipeline.problems import ProblemSetSettings, family_by_name, generate
from igsm_pipeline.text import document
from igsm_pipeline.tokens import TokenSettings, build_table, emit
from igsm_pipeline.toolbox.completions import end_of_text, load_tokenizer, prompt_ids
from igsm_pipeline.toolbox.published import read_published
from igsm_pipeline.verification import reward
from igsm_pipeline.world import load_world

FOLDER = Path("data/published/small")


def count_passes() -> tuple[int, int, int]:
    """Passes of the network that solve 2,048 problems of med: greedily, by beams with prompts of similar length together, and of equal length.

    Counted as if each completion were the reference, so that a batch takes as many passes as its longest.
    """
    batch = next(generate(ProblemSetSettings(family=family_by_name("med"), num_problems=2048, split="test"), load_world("igsm")))
    emitted = emit(batch, build_table(batch.world, batch.modulus, TokenSettings()), "pq")
    prompts = np.array([len(emitted.prompt(row)) for row in range(len(batch))])
    written, order = emitted.lengths - prompts, np.argsort(prompts, kind="stable")
    greedy = sum(int(written[order[first : first + ROWS]].max()) for first in range(0, len(order), ROWS))
    similar, equal = (sum(int(written[rows].max()) for rows in batches_of(prompts, mixed_lengths=mixed)) for mixed in (True, False))
    return greedy, similar, equal


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=256)
    parser.add_argument("--beams", type=int, default=4)
    options = parser.parse_args()
    torch.set_num_threads(1)
    greedy, *beams = count_passes()
    for name, passes in zip(("similar", "equal"), beams, strict=True):
        print(f"med, 2,048 problems, prompts of {name} length together: {passes / greedy:.1f} times the passes of greedy")
    published, tokenizer, model = read_published(FOLDER), load_tokenizer(FOLDER), load(FOLDER)
    slices = generate(published.slice_settings("op=max"), published.world)
    problems = list(islice((one for batch in slices for one in batch), options.problems))
    prompts = [np.array(prompt_ids(tokenizer, document(one, published.family.format).prompt)) for one in problems]
    limit, eos = int(model.generation_config.max_length), tokenizer.convert_tokens_to_ids(end_of_text(tokenizer))
    search = partial(complete_with_beams, model, prompts, beams=options.beams, max_length=limit, eos=eos, seed=0)
    ways: dict[str, Callable[[], Completions]] = {
        "greedy": partial(complete, model, prompts, max_tokens=limit, max_length=limit, eos=eos),
        f"beam {options.beams}, equal": partial(search, mixed_lengths=False),
        f"beam {options.beams}, similar": search,
    }
    for name, way in ways.items():
        started = time.process_time()
        made = way()
        spent = time.process_time() - started
        texts = [tokenizer.decode(ids.tolist(), clean_up_tokenization_spaces=False) for ids in made.tokens]
        right = sum(reward(problems, texts, world=published.world)) / len(problems)
        print(f"small, {len(problems)} problems of op=max, {name}: {spent:.1f} s of processor time, {100 * right:.1f} % fully correct", flush=True)


if __name__ == "__main__":
    main()
