"""Problem -> text: statements, question, solution, answer, to the last space.

Source: arXiv:2407.20311, app. D, E, and the released generator's wording.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from igsm_pipeline.errors import BadInput, BadProblem, must_be
from igsm_pipeline.problems.problem import ABSTRACT, INSTANCE, MORE, TIMES, Expression, Parameter, Problem
from igsm_pipeline.text.solution import Sentence, Step, render_sentences
from igsm_pipeline.text.wording import STATEMENT

FORM_PHRASES = {MORE: " more than ", TIMES: " times as much as "}
Format = Literal["pq", "qp"]


class Document(NamedTuple):
    """The three texts of a training document: [222] prompt [223] solution [224] answer [50256]."""

    prompt: str
    solution: str
    answer: str


class Earlier(NamedTuple):
    """Operand: the result of an earlier operation of the same parameter."""

    number: int


Operand = Parameter | Earlier | int


class Operation(NamedTuple):
    """One binary operation on the way to a parameter's value."""

    operator: str
    left: Operand
    right: Operand


def document(problem: Problem, format: Format) -> Document:
    """Prompt, solution and answer of a problem; ``format`` pq puts the statements before the question, qp after it.

    Example:
        >>> from igsm_pipeline.problems import ProblemSetSettings, family_by_name, generate_block
        >>> from igsm_pipeline.world import load_world
        >>> problem = generate_block(ProblemSetSettings(family=family_by_name("med"), num_problems=1), load_world("igsm"), 0)[0]
        >>> text = document(problem, "pq")
        >>> text.prompt.startswith(" The number of each "), text.solution.startswith(" Define ")
        (True, True)

    Raises:
        BadInput: another format, or ``problem`` is a text, a batch or something else.
        BadProblem: the problem has no solution to write, as one from text has none.
    """
    must_be("problem", problem, Problem, "a Problem", "take one of a batch (batch[0]), or read a text with parse_problem(...).solved()")
    if format not in ("pq", "qp"):
        raise BadInput("format", "must be pq or qp", format, "write pq for the statements before the question, qp for after it")
    statements, question = render_problem(problem), render_question(problem)
    prompt = statements + question if format == "pq" else question + statements
    return Document(prompt, render_solution(problem), render_answer(problem))


def render_problem(problem: Problem) -> str:
    """The statements in the problem's order: " The number of each A equals .... The number of each B equals ...."."""
    return "".join(
        f" {STATEMENT}{problem.name(parameter)} equals {render_expression(problem, expression)}."
        for parameter, expression in problem.statements.items()
    )


def render_expression(problem: Problem, expression: Expression) -> str:
    """The right side of a statement, such as "7 more than the sum of each B and each C"."""
    if not expression.parents:
        return str(expression.constant)
    each = [f"each {problem.name(parent)}" for parent in expression.parents]
    rest = each[0]
    if len(each) > 1:
        joined = ", ".join(each[:-1]) + " and " + each[-1]
        rest = f"the {'difference' if expression.difference else 'sum'} of {joined}"
    if expression.constant is None or expression.form is None:
        return rest
    return f"{expression.constant}{FORM_PHRASES[expression.form]}{rest}"


def render_question(problem: Problem) -> str:
    """The question, " How many {X} does {item} have?".

    Example:
        >>> from igsm_pipeline.problems import ProblemSetSettings, family_by_name, generate_block
        >>> from igsm_pipeline.world import load_world
        >>> settings = ProblemSetSettings(family=family_by_name("med"), num_problems=3, block_size=3)
        >>> problem = generate_block(settings, load_world("igsm"), 0)[0]
        >>> render_question(problem)
        ' How many Stationery does Textbook Hauler have?'
    """
    kind, layer, item, target = problem.query
    thing = problem.items[layer + 1][target] if kind == INSTANCE else problem.categories[target]
    return f" How many {thing} does {problem.items[layer][item]} have?"


def render_answer(problem: Problem) -> str:
    """The answer: a space and the value of what is asked for."""
    return f" {problem.values[problem.query]}"


def render_solution(problem: Problem) -> str:
    """The solution in the problem's order and symbols.

    Raises:
        BadProblem: the problem has no order, or fewer symbols than operations.
    """
    return render_sentences(solution_sentences(problem))


def solution_sentences(problem: Problem) -> tuple[Sentence, ...]:
    """The solution as sentences, one per parameter of ``problem.order``.

    Raises:
        BadProblem: the problem has no order, or fewer symbols than operations.
    """
    if not problem.order:
        raise BadProblem("order", "must hold the necessary parameters in solution order", problem.order, "use problem.solved(), which has one")
    fresh = iter(problem.symbols)
    symbol_of: dict[Parameter, str] = {}
    try:
        sentences = [_sentence(problem, parameter, symbol_of, fresh) for parameter in problem.order]
    except StopIteration:
        raise BadProblem("symbols", "must be as many as the operations", len(problem.symbols), f"give it {problem.op} symbols") from None
    except KeyError as error:
        raise BadProblem("order", "must name parents before what needs them", error.args[0], "correct the order") from None
    return tuple(sentences)


def operations(problem: Problem, parameter: Parameter) -> tuple[tuple[Operation, ...], Operand]:
    """How a parameter's value is computed: the binary operations in order, and the operand that holds the result.

    Sums fold left; of a sum of products first two products, then their sum, then product and sum in turn; the random constant is
    applied last, from the left. Without operations the result is a parameter (a copy) or a number.
    """
    done: list[Operation] = []

    def apply(operator: str, left: Operand, right: Operand) -> Earlier:
        done.append(Operation(operator, left, right))
        return Earlier(len(done) - 1)

    total: Operand | None = None
    if parameter.kind == ABSTRACT:
        for instance, factor in problem.terms(parameter):
            term: Operand = instance if factor is None else apply("*", instance, factor)
            total = term if total is None else apply("+", total, term)
        return tuple(done), 0 if total is None else total
    expression = problem.statements[parameter]
    for parent in expression.parents:
        total = parent if total is None else apply("-" if expression.difference else "+", total, parent)
    if expression.constant is not None:
        total = expression.constant if total is None else apply("*" if expression.form == TIMES else "+", expression.constant, total)
    return tuple(done), 0 if total is None else total


_COMPUTE: dict[str, Callable[[int, int], int]] = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__}


def _sentence(problem: Problem, parameter: Parameter, symbol_of: dict[Parameter, str], fresh: Iterator[str]) -> Sentence:
    symbol = symbol_of[parameter] = next(fresh)
    todo, total = operations(problem, parameter)
    steps: list[Step] = []

    def read(operand: Operand) -> tuple[str | int, int]:
        if isinstance(operand, Earlier):
            return steps[operand.number].symbol, steps[operand.number].result
        if isinstance(operand, Parameter):
            return symbol_of[operand], problem.values[operand]
        return operand, operand

    for number, (operator, left, right) in enumerate(todo):
        (x, n), (y, m) = read(left), read(right)
        target = symbol if number == len(todo) - 1 else next(fresh)
        steps.append(Step(target, (x, y), operator, (n, m), _COMPUTE[operator](n, m) % problem.modulus))
    if not todo:
        source, value = read(total)
        steps.append(Step(symbol, (source,) if isinstance(source, str) else (), "", (), value))
    return Sentence(problem.name(parameter), symbol, tuple(steps))
