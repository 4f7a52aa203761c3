"""Makes a model folder solve problems that plain ``transformers`` is given as text: ``tokenizer(problem + "<|solution|>")``, ``model.generate``.

- tokenizer.json: whatever is encoded gets the two tokens in front that every training window begins with, [50256] and [222].
- tokenizer_config.json: a chat template, so that chat programs give the model a problem and its end.
- generation_config.json: greedy, up to the length that the model was evaluated with.

Ours: the end of the problem, [223], is for the caller to write. A tokenizer that always added it could encode no document, and only its writer knows
where a problem in format qp ends. Vocabulary and ids stay as they are, and a checkpoint of the store is left alone: only copies of it are changed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import processors

from igsm_pipeline.store import write_atomically
from igsm_pipeline.tokens.foreign import TOKENIZER, TOKENIZER_CONFIG, read_tokenizer
from igsm_pipeline.tokens.fragments import ANSWER, BEGIN, END, SOLUTION, SPECIALS

GENERATION_CONFIG = "generation_config.json"
CHAT_ANSWER = "####"
"""What stands before the answer in the text of a chat, as in GSM8K."""

_NO_SYSTEM = "this model reads problems and solutions only: leave the system message out"
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'user' -%}"
    f"{{{{ ('{SPECIALS[END]}' if loop.first else '') + '{SPECIALS[BEGIN]} ' + message['content'] | trim + '{SPECIALS[SOLUTION]}' }}}}"
    "{%- elif message['role'] == 'assistant' -%}"
    f"{{%- set parts = message['content'].replace('{SPECIALS[ANSWER]}', '{CHAT_ANSWER}').split('{CHAT_ANSWER}') -%}}"
    "{{ ' ' + parts[0] | trim }}"
    f"{{%- if parts | length > 1 %}}{{{{ '{SPECIALS[ANSWER]} ' + parts[1] | trim }}}}{{% endif -%}}"
    f"{{{{ '{SPECIALS[END]}' }}}}"
    "{%- else -%}"
    f"{{{{ raise_exception('{_NO_SYSTEM}') }}}}"
    "{%- endif -%}"
    "{%- endfor -%}"
)
"""The problem is the user's message, the solution with its answer after #### (or the marker itself) the assistant's."""


def write_prompt_form(folder: Path, max_length: int) -> None:
    """Teach the files of a model folder the form of a prompt, in place. What they say already is kept.

    Args:
        folder: a copy of a checkpoint whose tokenizer is ours (not one that a foreign checkpoint brought).
        max_length: most tokens of problem and solution together that ``generate`` writes unless it is told otherwise.

    Raises:
        BadCheckpoint: there is no tokenizer.json, or it cannot be read.
    """
    tokenizer = read_tokenizer(folder)
    if tokenizer.post_processor is None:
        opening = [SPECIALS[END], SPECIALS[BEGIN]]
        ids = [(name, tokenizer.token_to_id(name)) for name in opening]
        tokenizer.post_processor = processors.TemplateProcessing(single=[*opening, "$A"], pair=[*opening, "$A", "$B"], special_tokens=ids)
        write_atomically(folder / TOKENIZER, tokenizer.to_str(pretty=False).encode())
    _add(folder / TOKENIZER_CONFIG, {"chat_template": CHAT_TEMPLATE})
    _add(folder / GENERATION_CONFIG, {"max_length": max_length, "do_sample": False})


def _add(path: Path, values: dict[str, Any]) -> None:
    """Add keys to a JSON file that lacks them."""
    said = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    write_atomically(path, (json.dumps(values | said, indent=2, sort_keys=True) + "\n").encode())
