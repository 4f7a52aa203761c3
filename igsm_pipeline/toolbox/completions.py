"""Lets a model solve one problem given as text; it needs only the model and its tokenizer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from transformers import AutoTokenizer, PreTrainedModel

from igsm_pipeline.errors import BadCheckpoint, BadInput
from igsm_pipeline.model.decoding import complete
from igsm_pipeline.tokens.fragments import ANSWER, BEGIN, END, SOLUTION, SPECIALS


@dataclass(frozen=True)
class Written:
    """The solution that a model wrote.

    Attributes:
        solution: text between the solution and the answer marker.
        answer: text after the answer marker; None without a marker.
        finished: whether the model wrote the end of text.
        tokens: number of tokens written.
    """

    solution: str
    answer: str | None
    finished: bool
    tokens: int


TOKENIZER_FILES = ("*token*", "vocab.*", "merges.txt", "*.model", "*.tiktoken")
"""How files of tokenizers are named."""


def load_tokenizer(folder: str | Path) -> Any:
    """Load the tokenizer of a checkpoint folder.

    Raises:
        BadCheckpoint: there is no tokenizer, or it lacks the markers of documents.
    """
    folder = Path(folder)
    if not any(next(folder.glob(pattern), None) for pattern in TOKENIZER_FILES):  # transformers would make one up, of the architecture's kind
        raise BadCheckpoint(f"checkpoint {folder}", "must hold a tokenizer", "no file of one", "copy tokenizer.json from where the model came from")
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # transformers raises many kinds; each means that the folder has no usable tokenizer
        raise BadCheckpoint(f"checkpoint {folder}", "must hold a tokenizer", f"{type(error).__name__}: {error}", "add tokenizer.json") from error
    check_markers(tokenizer, str(folder))
    return tokenizer


def check_markers(tokenizer: Any, name: str) -> None:
    """Refuse a tokenizer that lacks the markers of problem, solution, answer or end.

    Raises:
        BadCheckpoint: it lacks one of the special tokens.
    """
    known = tokenizer.get_vocab()
    missing = [special for special in (*(SPECIALS[one] for one in (BEGIN, SOLUTION, ANSWER)), end_of_text(tokenizer)) if special not in known]
    if missing:
        raise BadCheckpoint(f"tokenizer of {name}", "must have the tokens that mark problem, solution, answer and end", missing, "add them by name")


def write_solution(model: PreTrainedModel, tokenizer: Any, text: str, *, max_length: int = 2048) -> Written:
    """Let a model solve a problem greedily.

    Args:
        model: the model, in evaluation mode.
        tokenizer: the model's own tokenizer.
        text: statements and question as rendered, including the leading space.
        max_length: most tokens of prompt and completion together.

    Raises:
        BadInput: the tokenizer lacks a number or name of the text, or the text fills the context.
    """
    known, ids = tokenizer.get_vocab(), prompt_ids(tokenizer, text)
    if len(ids) >= max_length:
        raise BadInput("problem", f"must take fewer than {max_length} tokens", len(ids), "ask about a shorter one")
    eos = int(known[end_of_text(tokenizer)])
    made = complete(model, [np.array(ids)], max_tokens=max_length, max_length=max_length, eos=eos)
    written = made.tokens[0].astype(np.int64)
    ends = np.flatnonzero(written == known[SPECIALS[ANSWER]])
    parts = [written] if not len(ends) else [written[: ends[0]], written[ends[0] + 1 :]]
    texts = [tokenizer.decode(part.tolist(), skip_special_tokens=True, clean_up_tokenization_spaces=False) for part in parts]
    return Written(texts[0], texts[1] if len(ends) else None, bool(made.finished[0]), len(written))


def prompt_ids(tokenizer: Any, text: str) -> list[int]:
    """The ids of a prompt: end of text, problem marker, text, solution marker.

    Raises:
        BadInput: the tokenizer lacks a word of the text.
    """
    way_out = "ask a model of this world and modulus, or name the model's own (`--world`, `--modulus`)"
    try:
        ids: list[int] = tokenizer(f"{end_of_text(tokenizer)}{SPECIALS[BEGIN]}{text}{SPECIALS[SOLUTION]}", add_special_tokens=False)["input_ids"]
    except Exception as error:  # the tokenizers library raises nothing narrower for a word that it does not know
        raise BadInput("problem", "must be made of words that the model's tokenizer has", str(error), way_out) from None
    held = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    if held != text:
        place = next((index for index, (a, b) in enumerate(zip(held, text, strict=False)) if a != b), min(len(held), len(text)))
        raise BadInput("problem", "must be made of words that the model's tokenizer has", text[place : place + 40], way_out)
    return ids


def end_of_text(tokenizer: Any) -> str:
    """The token that ends a document: under our name if it has it, else the tokenizer's own end."""
    return SPECIALS[END] if SPECIALS[END] in tokenizer.get_vocab() else str(tokenizer.eos_token)
