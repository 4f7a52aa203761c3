"""Why solutions are wrong: how many have nothing wrong but the two values of a sum, in the other order than its symbols.

    python examples/swapped_sums.py                                     # the published small_deep; five minutes of one core
    python examples/swapped_sums.py data/published/small --problems 256

A solution may say ``x = f + j = 3 + 1`` where f is 1 and j is 3: the result is right and the step is wrong, because the law wants the values in
the order of their symbols. The sums of abstract parameters run over children in an order that nothing before tells, so a model has to look which
symbol it wrote first. Here every such sum is put in order, as the solution itself gives the values, and all solutions are judged again.

Problems: of the training split (beyond the longest taught: of all), drawn for this alone; no model was trained on their stream, and no test
problem is asked.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np

from igsm_pipeline.intervals.share import share
from igsm_pipeline.model.decoding import complete
from igsm_pipeline.model.gpt2_rotary import load
from igsm_pipeline.problems import ProblemSetSettings, generate
from igsm_pipeline.text import document
from igsm_pipeline.toolbox.completions import end_of_text, load_tokenizer, prompt_ids
from igsm_pipeline.toolbox.published import read_published
from igsm_pipeline.verification import reward

FOLDER, STREAM, MOST_TOKENS = Path("data/published/small_deep"), "swapped_sums", 384
_STEP = re.compile(r"(?<=[;o] )(?P<symbol>[a-zA-Z]) = (?P<rest>[^;.]*)")
_SUM = re.compile(r"(?P<first>[a-zA-Z]) \+ (?P<second>[a-zA-Z]) = (?P<one>\d+) \+ (?P<other>\d+)(?= = )")


def put_in_order(solution: str) -> str:
    """The solution with the two values of every sum of two symbols in the symbols' order, where they are the values that it gave them.

    >>> put_in_order(" Define A as j; so j = 3. Define B as f; so f = 2 * j = 2 * 3 = 1. Define C as b; so b = f + j = 3 + 1 = 4.")[-18:]
    'f + j = 1 + 3 = 4.'
    """
    values: dict[str, str] = {}

    def ordered(step: re.Match[str]) -> str:
        rest = _SUM.sub(_as_symbols, step["rest"])
        values[step["symbol"]] = rest.rpartition("= ")[2].strip()
        return f"{step['symbol']} = {rest}"

    def _as_symbols(found: re.Match[str]) -> str:
        first, second = values.get(found["first"]), values.get(found["second"])
        if (found["one"], found["other"]) != (second, first):
            return found[0]
        return f"{found['first']} + {found['second']} = {first} + {second}"

    return _STEP.sub(ordered, solution)


def main() -> None:
    """Print one row per op level, up to two beyond the longest taught."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER, help="folder that igsm publish wrote")
    parser.add_argument("--problems", type=int, default=1024, help="problems per op level")
    given = parser.parse_args()
    published, tokenizer, model = read_published(given.folder), load_tokenizer(given.folder), load(given.folder)
    eos = tokenizer.convert_tokens_to_ids(end_of_text(tokenizer))
    print(f"{given.folder}, {given.problems} problems per op level; Wilson's 95 % intervals\n")
    print("| op | right, % | sums put in order, % |\n|---|---|---|")
    for op in range(1, published.family.op_max + 3):
        split = "train" if op <= published.family.op_max else "all"
        settings = {"family": published.family, "law": "exact", "op": op, "split": split, "num_problems": given.problems, "stream": STREAM}
        problems = [one for batch in generate(ProblemSetSettings.parse(settings, STREAM), published.world) for one in batch]
        prompts = [np.array(prompt_ids(tokenizer, document(one, published.family.format).prompt)) for one in problems]
        made = complete(model, prompts, max_tokens=MOST_TOKENS, eos=eos)
        written = [tokenizer.decode(ids.tolist(), clean_up_tokenization_spaces=False) for ids in made.tokens]
        right = (np.array(reward(problems, texts, world=published.world)) * made.finished for texts in (written, list(map(put_in_order, written))))
        print(f"| {op} | {' | '.join(share(int(one.sum()), len(one)).percent() for one in right)} |", flush=True)


if __name__ == "__main__":
    main()
