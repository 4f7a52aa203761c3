"""Ways to damage a right solution text; each takes (rng, problem, text) and returns a text, often wrong, always plausible."""

from __future__ import annotations

import random
import re
import string
from collections.abc import Callable
from dataclasses import replace

from igsm_pipeline.problems.problem import Expression, Problem
from tests.reference.plain_text import solution
from tests.reference.random_problems import closure, is_named, random_order

Damage = Callable[[random.Random, Problem, str], str]


def _replace_one(rng: random.Random, text: str, pattern: str, new: Callable[[re.Match[str]], str]) -> str:
    found = list(re.finditer(pattern, text))
    if not found:
        return text
    one = rng.choice(found)
    return text[: one.start()] + new(one) + text[one.end() :]


def _sentences(text: str) -> list[str]:
    return text[1:-1].split(". ")


def _joined(sentences: list[str]) -> str:
    return " " + ". ".join(sentences) + "."


def wrong_number(rng: random.Random, problem: Problem, text: str) -> str:
    return _replace_one(rng, text, r"(?<= )[0-9]+", lambda _: rng.choice([str(rng.randrange(problem.modulus)), str(problem.modulus), "07", "9" * 30]))


def wrong_symbol(rng: random.Random, problem: Problem, text: str) -> str:
    return _replace_one(rng, text, r"(?<= )[a-zA-Z](?= |;)", lambda _: rng.choice(problem.symbols))


def undefined_symbol(rng: random.Random, problem: Problem, text: str) -> str:
    unused = [letter for letter in string.ascii_letters if letter not in problem.symbols] or ["é"]
    return _replace_one(rng, text, r"(?<= )[a-zA-Z](?= [-+*=])", lambda _: rng.choice(unused))


def reused_symbol(rng: random.Random, problem: Problem, text: str) -> str:
    sentences = _sentences(text)
    number = rng.randrange(len(sentences))
    own = re.search(r" as ([a-zA-Z]);", sentences[number])[1]
    sentences[number] = re.sub(rf"(as|so|;) {own}(?= =|;)", rf"\1 {rng.choice(problem.symbols)}", sentences[number])
    return _joined(sentences)


def dropped_sentence(rng: random.Random, problem: Problem, text: str) -> str:
    sentences = _sentences(text)
    del sentences[rng.randrange(len(sentences))]
    return _joined(sentences)


def swapped_sentences(rng: random.Random, problem: Problem, text: str) -> str:
    sentences = _sentences(text)
    i, j = rng.randrange(len(sentences)), rng.randrange(len(sentences))
    sentences[i], sentences[j] = sentences[j], sentences[i]
    return _joined(sentences)


def repeated_sentence(rng: random.Random, problem: Problem, text: str) -> str:
    sentences = _sentences(text)
    sentences.insert(rng.randrange(len(sentences) + 1), rng.choice(sentences))
    return _joined(sentences)


def repeated_parameter(rng: random.Random, problem: Problem, text: str) -> str:
    """A sentence once more, under new symbols."""
    sentences = _sentences(text)
    again = rng.choice(sentences)
    unused = [letter for letter in string.ascii_letters if letter not in problem.symbols]
    for old in dict.fromkeys(re.findall(r"(?:as |; |so )([a-zA-Z])(?=;| =)", again)):
        if unused:
            again = re.sub(rf"(?<= ){old}(?=;| )", unused.pop(), again)
    sentences.insert(rng.randrange(len(sentences) + 1), again)
    return _joined(sentences)


def wrong_dependency(rng: random.Random, problem: Problem, text: str) -> str:
    """One parameter computed from what the problem does not say, everything else consistent."""
    changeable = [one for one in problem.order if one in problem.statements]
    if not changeable:
        return text
    one = rng.choice(changeable)
    before = list(problem.order[: problem.order.index(one)])
    parents = tuple(rng.sample(before, min(len(before), rng.randint(0, 2))))
    old = problem.statements[one]
    new = replace(old, parents=parents, difference=False) if rng.random() < 0.5 or not old.parents else Expression(parents)
    if not parents:
        new = Expression((), rng.randrange(problem.modulus))
    other = Problem(problem.modulus, problem.categories, problem.items, {**problem.statements, one: new}, problem.query, problem.order)
    return solution(replace(other, symbols=tuple(string.ascii_letters * 2)))


def extra_step(rng: random.Random, problem: Problem, text: str) -> str:
    """A right step that nobody asked for, somewhere."""
    sentences = _sentences(text)
    number = rng.randrange(len(sentences))
    known = re.findall(r"(?:so |; )([a-zA-Z]) = (?:[^;]* = )?([0-9]+)(?=$|;)", ";".join(sentences[: number + 1]))
    if not known:
        return text
    (x, n), (y, m) = rng.choice(known), rng.choice(known)
    unused = [letter for letter in string.ascii_letters if letter not in problem.symbols] or ["a"]
    parts = sentences[number].split("; ")
    parts.insert(rng.randint(1, len(parts) - 1), f"{rng.choice(unused)} = {x} + {y} = {n} + {m} = {(int(n) + int(m)) % problem.modulus}")
    sentences[number] = "; ".join(parts)
    return _joined(sentences)


def dropped_step(rng: random.Random, problem: Problem, text: str) -> str:
    return _replace_one(rng, text, r"; [^;.]*(?=;|\.)", lambda _: "")


def wrong_operator(rng: random.Random, problem: Problem, text: str) -> str:
    return _replace_one(rng, text, r"(?<= )[-+*](?= )", lambda _: rng.choice(["+", "-", "*", "/", "+-", ""]))


def wrong_name(rng: random.Random, problem: Problem, text: str) -> str:
    names = [problem.name(one) for one in (*problem.instances, *problem.abstracts)]
    return _replace_one(rng, text, r"(?<=Define )[^;]*(?= as )", lambda _: rng.choice([*names, "Nobody's Thing", "", "a; b", "each " + names[0]]))


def early_end(rng: random.Random, problem: Problem, text: str) -> str:
    return text[: rng.randrange(len(text) + 1)]


def noise(rng: random.Random, problem: Problem, text: str) -> str:
    for _ in range(rng.randint(1, 3)):
        start = rng.randrange(len(text) + 1)
        end = start + rng.choice([0, 0, 1, 1, 2, 9])
        text = text[:start] + rng.choice(["", " ", ".", ";", "=", "so ", "q", "7", "\x00", "é", "'s ", ". ", "; ", " Define ", "\n"]) + text[end:]
    return text


def wrong_query(rng: random.Random, problem: Problem, text: str) -> str:
    """A right solution of another question about the same problem."""
    others = [one for one in (*problem.instances, *problem.abstracts) if one != problem.query and is_named(problem, one.layer, one.item)]
    asked = replace(problem, query=rng.choice(others)) if others else problem
    return text if asked.op > len(string.ascii_letters) else solution(asked.solved())


def renamed_symbols(rng: random.Random, problem: Problem, text: str) -> str:
    """Harmless: every symbol renamed, one to one."""
    new = dict(zip(string.ascii_letters, rng.sample(string.ascii_letters, 52), strict=True))
    return re.sub(r"(?<=as )[a-zA-Z](?=;)|(?<= )[a-zA-Z](?= [-+*=])|(?<=[-+*] )[a-zA-Z](?= =)", lambda found: new[found[0]], text)


def reordered_sentences(rng: random.Random, problem: Problem, text: str) -> str:
    """Harmless: the same parameters in another order that works."""
    return solution(replace(problem, order=random_order(rng, problem)))


def swapped_operands(rng: random.Random, problem: Problem, text: str) -> str:
    """Harmless: x + y as y + x, x * y as y * x, in some steps."""

    def swap(found: re.Match[str]) -> str:
        x, o, y, n, m = found.groups()
        return f"{y} {o} {x} = {m} {o} {n} =" if rng.random() < 0.5 else found[0]

    return re.sub(r"(?<== )(\w+) ([+*]) (\w+) = (\d+) [+*] (\d+) =", swap, text)


def redundant(rng: random.Random, problem: Problem, text: str) -> str:
    """Harmless: some parameters that nobody needs are defined as well, rightly."""
    every = (*problem.instances, *problem.abstracts)
    rest = [one for one in every if is_named(problem, one.layer, one.item) and problem.query not in closure(problem, [one])]
    extra = closure(problem, rng.sample(rest, min(len(rest), rng.randint(1, 4))))
    operations = problem.op + sum(problem.parameter_op(one) for one in extra - problem.necessary)
    if operations > len(string.ascii_letters):
        return text
    return solution(replace(problem, order=random_order(rng, problem, extra), symbols=tuple(rng.sample(string.ascii_letters, operations))))


HARMLESS: tuple[Damage, ...] = (renamed_symbols, reordered_sentences, swapped_operands, redundant)
"""Changes that leave a right solution right."""

DAMAGES: tuple[Damage, ...] = (
    wrong_number,
    wrong_symbol,
    undefined_symbol,
    reused_symbol,
    dropped_sentence,
    swapped_sentences,
    repeated_sentence,
    repeated_parameter,
    wrong_dependency,
    extra_step,
    dropped_step,
    wrong_operator,
    wrong_name,
    wrong_query,
    early_end,
    noise,
    *HARMLESS,
)


def retried(rng: random.Random, problem: Problem, text: str) -> str:
    """The text with up to four retries before its sentences, of parameters and of other names, now and then not quite written as one."""
    sentences = text.split(". ")
    names = [problem.name(one) for one in (*problem.instances, *problem.abstracts)]
    for _ in range(rng.randrange(1, 5)):
        name = rng.choice([*names, "Nobody's Thing", "as"])
        mark = rng.choice(["<|back|>"] * 9 + [" <|back|>", "[BACK]", " [BACK]", "<|back|", " x<|back|>"])
        opening = rng.choice(["Define"] * 19 + ["define"])
        place = rng.randrange(len(sentences))
        sentences.insert(place, f"{' ' if place == 0 else ''}{opening} {name} as{mark}")
        if place == 0:
            sentences[1] = sentences[1].lstrip(" ")
    return ". ".join(sentences)
