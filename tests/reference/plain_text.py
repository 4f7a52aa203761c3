"""A problem's text, written the slow and obvious way from the law's wording; an oracle for ``text`` and ``tokens``."""

from __future__ import annotations

from igsm_pipeline.problems.problem import ABSTRACT, TIMES, Parameter, Problem


def statement(problem: Problem, parameter: Parameter) -> str:
    expression = problem.statements[parameter]
    each = ["each " + problem.name(parent) for parent in expression.parents]
    if len(each) == 0:
        return f"The number of each {problem.name(parameter)} equals {expression.constant}"
    if len(each) == 1:
        rest = each[0]
    elif len(each) == 2:
        rest = f"the {'difference' if expression.difference else 'sum'} of {each[0]} and {each[1]}"
    else:
        rest = "the sum of " + ", ".join(each[:-1]) + " and " + each[-1]
    if expression.constant is not None:
        rest = f"{expression.constant} {'times as much as' if expression.form == TIMES else 'more than'} {rest}"
    return f"The number of each {problem.name(parameter)} equals {rest}"


def problem_text(problem: Problem) -> str:
    return " " + ". ".join(statement(problem, parameter) for parameter in problem.statements) + "."


def question(problem: Problem) -> str:
    owner, thing = problem.name(problem.query).rsplit("'s ", 1)
    return f" How many {thing} does {owner} have?"


def solution(problem: Problem) -> str:
    free = list(problem.symbols)
    symbols: dict[Parameter, str] = {}
    return " " + ". ".join(_sentence(problem, parameter, symbols, free) for parameter in problem.order) + "."


def _sentence(problem: Problem, parameter: Parameter, symbols: dict[Parameter, str], free: list[str]) -> str:
    own = symbols[parameter] = free.pop(0)
    constant = None if parameter.kind == ABSTRACT else problem.statements[parameter].constant
    # The value as a tree of (operator, left, right); leaves are (shown symbol or number, value).
    tree: tuple | None = None
    if parameter.kind == ABSTRACT:
        for instance, deeper in problem.terms(parameter):
            term = _leaf(problem, instance, symbols)
            if deeper is not None:
                term = ("*", term, _leaf(problem, deeper, symbols))
            tree = term if tree is None else ("+", tree, term)
    else:
        for parent in problem.parents(parameter):
            operand = _leaf(problem, parent, symbols)
            tree = operand if tree is None else ("-" if problem.statements[parameter].difference else "+", tree, operand)
        if constant is not None and tree is not None:
            tree = ("*" if problem.statements[parameter].form == TIMES else "+", (str(constant), constant), tree)
    if tree is None:
        return f"Define {problem.name(parameter)} as {own}; so {own} = {constant or 0}"
    if len(tree) == 2:
        return f"Define {problem.name(parameter)} as {own}; so {own} = {tree[0]} = {tree[1]}"
    steps: list[str] = []
    _write_steps(tree, own, problem.modulus, free, steps)
    return "; ".join([f"Define {problem.name(parameter)} as {own}", *steps])


def _leaf(problem: Problem, parameter: Parameter, symbols: dict[Parameter, str]) -> tuple[str, int]:
    return symbols[parameter], problem.values[parameter]


def _write_steps(tree: tuple, own: str | None, modulus: int, free: list[str], steps: list[str]) -> tuple[str, int]:
    """Append the steps of a tree, left side first; returns what stands for it afterwards. ``own`` is given to the last step only."""
    if len(tree) == 2:
        return tree
    operator, left, right = tree
    left, right = (_write_steps(side, None, modulus, free, steps) for side in (left, right))
    value = {"+": left[1] + right[1], "-": left[1] - right[1], "*": left[1] * right[1]}[operator] % modulus
    symbol = own or free.pop(0)
    steps.append(f"{'so ' if own else ''}{symbol} = {left[0]} {operator} {right[0]} = {left[1]} {operator} {right[1]} = {value}")
    return symbol, value


def answer(problem: Problem) -> str:
    return f" {problem.values[problem.query]}"


def document(problem: Problem, form: str) -> str:
    """The whole document with its special tokens by name."""
    parts = (problem_text(problem), question(problem)) if form == "pq" else (question(problem), problem_text(problem))
    return f"<|problem|>{''.join(parts)}<|solution|>{solution(problem)}<|answer|>{answer(problem)}<|endoftext|>"
