"""One right solution in many spellings is right in all of them, what was spelled otherwise is told, and no wrong one becomes right."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable

import pytest

from igsm_pipeline.text import render_answer, render_problem, render_question, render_solution
from igsm_pipeline.verification import Error
from igsm_pipeline.verification.files import Judged, Refused, verify_rows
from igsm_pipeline.verification.rows.spelling import Spelling
from tests.reference.random_problems import PLAIN, make_world, random_problem

Row = dict[str, object]
SEED = 5


def right_row() -> Row:
    """A row whose solution multiplies and subtracts."""
    rng = random.Random(SEED)
    for _ in range(500):
        problem = random_problem(rng)
        solution = render_solution(problem)
        if " * " in solution and " - " in solution:
            return {"problem": render_problem(problem), "question": render_question(problem), "solution": solution, "answer": render_answer(problem)}
    raise AssertionError


ROW = right_row()
NUMBER = str(ROW["answer"]).strip()
WIDE = str.maketrans({str(digit): chr(0xFF10 + digit) for digit in range(10)})


def texts(change: Callable[[str], str], *names: str) -> Row:
    """The row with a change made to some of its texts."""
    return {name: change(str(text)) if name in (names or ROW) else text for name, text in ROW.items()}


def replaced(old: str, new: str) -> Row:
    return texts(lambda text: text.replace(old, new))


def listed(mark: str) -> str:
    """The solution as a list, a line per sentence."""
    return "\n".join(mark.format(number) + sentence for number, sentence in enumerate(re.split(r"(?<=\.) ", str(ROW["solution"]).strip()), 1))


SPELLINGS: list[tuple[str, Row, Spelling | None]] = [
    ("as it is", ROW, None),
    ("no leading space", texts(str.strip, "problem", "question", "answer"), None),
    ("solution trimmed", texts(str.strip), Spelling.WHITE_SPACE),
    ("newline at the end", texts(lambda text: text + " \n", "solution"), Spelling.WHITE_SPACE),
    ("a line per sentence", replaced(". ", ".\n"), Spelling.WHITE_SPACE),
    ("wrapped lines", texts(lambda text: text.replace(" of ", "\r\nof ").replace(" = ", "\n= ", 3)), Spelling.WHITE_SPACE),
    ("no-break spaces", replaced(" ", "\u00a0"), Spelling.WHITE_SPACE),
    ("tabs and double spaces", texts(lambda text: text.replace(" = ", "\t=  ")), Spelling.WHITE_SPACE),
    ("no spaces around signs", texts(lambda text: text.replace(" = ", "=").replace(" * ", "*").replace("; ", ";"), "solution"), Spelling.WHITE_SPACE),
    ("right quotation mark", replaced("'", "\u2019"), Spelling.APOSTROPHES),
    ("modifier apostrophe", replaced("'", "\u02bc"), Spelling.APOSTROPHES),
    ("backtick", replaced("'", "`"), Spelling.APOSTROPHES),
    ("minus sign", replaced(" - ", " \u2212 "), Spelling.DASHES),
    ("en dash", replaced(" - ", " \u2013 "), Spelling.DASHES),
    ("times", replaced(" * ", " \u00d7 "), Spelling.MULTIPLICATION),
    ("dot operator", replaced(" * ", " \u22c5 "), Spelling.MULTIPLICATION),
    ("LaTeX times", replaced(" * ", " \\times "), Spelling.MULTIPLICATION),
    ("full-width digits", texts(lambda text: text.translate(WIDE)), Spelling.WIDTH),
    ("full-width signs", replaced("=", "\uff1d"), Spelling.WIDTH),
    ("byte-order mark", texts(lambda text: "\ufeff" + text), Spelling.INVISIBLE),
    ("zero-width spaces", replaced(".", "\u200b."), Spelling.INVISIBLE),
    ("HTML", replaced("'", "&#39;"), Spelling.ESCAPES),
    ("escaped line breaks", texts(lambda text: text.replace(". Define", ".\\nDefine"), "solution"), Spelling.ESCAPES),
    ("markers", texts(lambda text: f"<|solution|>{text}<|endoftext|>", "solution"), Spelling.MARKERS),
    ("lost markers", texts(lambda text: f"\ufffd{text}\ufffd", "solution"), Spelling.MARKERS),
    ("labels", {**ROW, "problem": f"Problem: {ROW['problem']}", "solution": f"Solution:{ROW['solution']}"}, Spelling.LABELS),
    ("Answer: at the end", texts(lambda text: f"{text} Answer: {NUMBER}.", "solution"), Spelling.ANSWER_AT_END),
    ("#### at the end", {**ROW, "solution": f"{ROW['solution']}\n#### {NUMBER}", "answer": None}, Spelling.ANSWER_AT_END),
    ("bare number at the end", {**ROW, "solution": f"{ROW['solution']} {NUMBER}", "answer": ""}, Spelling.ANSWER_AT_END),
    ("answer with a dot", {**ROW, "answer": f"{NUMBER}."}, Spelling.ANSWER_FORM),
    ("leading zero", {**ROW, "answer": f"0{NUMBER}"}, Spelling.ANSWER_FORM),
    ("plus", {**ROW, "answer": f"+{NUMBER}"}, Spelling.ANSWER_FORM),
    ("decimal", {**ROW, "answer": f"{NUMBER}.0"}, Spelling.ANSWER_FORM),
    ("#### answer", {**ROW, "answer": f"#### {NUMBER}"}, Spelling.ANSWER_FORM),
    ("boxed", {**ROW, "answer": f"$\\boxed{{{NUMBER}}}$"}, Spelling.ANSWER_FORM),
    ("The answer is", {**ROW, "answer": f"The final answer is {NUMBER}."}, Spelling.ANSWER_FORM),
    ("math brackets", {**ROW, "answer": f"\\( {NUMBER} \\)"}, Spelling.ANSWER_FORM),
    ("boxed text", {**ROW, "answer": f"\\boxed{{\\text{{{NUMBER}}}}}"}, Spelling.ANSWER_FORM),
    ("answer tags", {**ROW, "answer": f"<answer>{NUMBER}</answer>"}, Spelling.MARKERS),
    ("low quotation mark", replaced("'", "\u201a"), Spelling.APOSTROPHES),
    ("geresh", replaced("'", "\u05f3"), Spelling.APOSTROPHES),
    ("low asterisk", replaced(" * ", " \u204e "), Spelling.MULTIPLICATION),
    ("heavy minus", replaced(" - ", " \u2796 "), Spelling.DASHES),
    ("escaped apostrophes", replaced("'", "\\'"), Spelling.ESCAPES),
    ("escaped code points", replaced("'", "\\u2019"), Spelling.ESCAPES),
    ("HTML twice", replaced("'", "&amp;#39;"), Spelling.ESCAPES),
    ("tokens of bytes", replaced(" ", "\u0120"), Spelling.MARKERS),
    ("tokens of pieces", replaced(" ", "\u2581"), Spelling.MARKERS),
    ("a code block", texts(lambda text: f"```text\n{text.strip()}\n```", "solution"), Spelling.MARKERS),
    ("empty thoughts", texts(lambda text: f"<think>\n\n</think>\n{text}", "solution"), Spelling.MARKERS),
    ("bold", texts(lambda text: f"**{text.strip()}**", "solution"), Spelling.LAYOUT),
    ("bold label", texts(lambda text: f"**Solution:**\n{text}", "solution"), Spelling.LABELS),
    ("heading", texts(lambda text: f"### Solution\n\n{text}", "solution"), Spelling.LABELS),
    ("quoted", texts(lambda text: f"> {text.strip()}", "solution"), Spelling.LAYOUT),
    ("numbered", {**ROW, "solution": listed("{}. ")}, Spelling.LAYOUT),
    ("bulleted", {**ROW, "solution": listed("- ")}, Spelling.LAYOUT),
    ("bullets", {**ROW, "solution": listed("\u2022 ")}, Spelling.LAYOUT),
    ("numbers in brackets", {**ROW, "solution": listed("({}) ")}, Spelling.LAYOUT),
    ("steps", {**ROW, "solution": listed("Step {}: ")}, Spelling.LAYOUT),
    ("bold numbers", {**ROW, "solution": listed("**{}.** ")}, Spelling.LAYOUT),
    ("a list below a label", {**ROW, "solution": "Solution:\n" + listed("{}. ")}, Spelling.LAYOUT),
    ("bold sentences", {**ROW, "solution": re.sub(r"(Define[^.]*\.)", r"**\1**", str(ROW["solution"]))}, Spelling.LAYOUT),
    ("italic sentences", {**ROW, "solution": re.sub(r"(Define[^.]*\.)", r"_\1_", str(ROW["solution"]))}, Spelling.LAYOUT),
    ("mathematical mode", texts(lambda text: re.sub(r"; so ([^.]*)\.", r"; so $\1$.", text), "solution"), Spelling.LAYOUT),
    ("code", texts(lambda text: re.sub(r"; so ([^.]*)\.", r"; so `\1`.", text), "solution"), Spelling.LAYOUT),
    ("paragraphs of HTML", {**ROW, "solution": re.sub(r"(Define[^.]*\.)", r"<p>\1</p>", str(ROW["solution"]))}, Spelling.LAYOUT),
    ("line breaks of HTML", replaced(". ", ".<br />"), Spelling.LAYOUT),
    ("quotes", texts(lambda text: f"\u201c{text.strip()}\u201d", "problem", "question", "solution"), Spelling.LAYOUT),
    ("JSON within JSON", texts(json.dumps, "solution"), Spelling.LAYOUT),
    ("problem as a list", texts(lambda text: text.replace(" The number", "\n- The number"), "problem"), Spelling.LAYOUT),
    ("a label within the problem", {**ROW, "problem": f"{ROW['problem']}\n\n**Question:**{ROW['question']}", "question": None}, Spelling.LABELS),
    ("bold question", texts(lambda text: f"**{text.strip()}**", "question"), Spelling.LAYOUT),
    ("bold answer", {**ROW, "solution": f"{ROW['solution']}\n\n**Answer: {NUMBER}**", "answer": None}, Spelling.ANSWER_AT_END),
    ("answer with its modulus", {**ROW, "answer": f"${NUMBER} \\pmod{{23}}$"}, Spelling.ANSWER_FORM),
    ("roles of Llama", texts(lambda text: f"<|start_header_id|>assistant<|end_header_id|>\n\n{text}<|eot_id|>", "solution"), Spelling.MARKERS),
    ("roles of Gemma", texts(lambda text: f"<start_of_turn>model\n{text}<end_of_turn>", "solution"), Spelling.MARKERS),
    ("roles of Qwen", texts(lambda text: f"<|im_start|>assistant\n{text}<|im_end|>", "solution"), Spelling.MARKERS),
    ("instruction", {**ROW, "problem": f"[INST] {ROW['problem']}", "question": f"{ROW['question']} [/INST]"}, Spelling.MARKERS),
    ("ideographic stops", texts(lambda text: text.replace(". ", "\u3002"), "solution"), Spelling.WIDTH),
    ("int", {**ROW, "answer": int(NUMBER)}, None),
    ("float", {**ROW, "answer": float(NUMBER)}, None),
    ("upper-case keys", {name.upper(): text for name, text in ROW.items()}, None),
    ("question in the problem", {"problem": f"{ROW['problem']}{ROW['question']}", "solution": ROW["solution"], "answer": NUMBER}, None),
    ("question first", {**ROW, "problem": f"{ROW['question']}{ROW['problem']}", "question": None}, None),
    ("GSM8K", {"question": f"{ROW['problem']}{ROW['question']}", "answer": f"{ROW['solution']}\n#### {NUMBER}"}, Spelling.ANSWER_AT_END),
    ("one text", {"text": f"Question: {ROW['problem']}{ROW['question']}\nAnswer: {ROW['solution']}\n#### {NUMBER}"}, Spelling.ONE_TEXT),
    (
        "chat",
        {
            "messages": [
                {"role": "system", "content": "Solve."},
                {"role": "user", "content": f"{ROW['problem']}{ROW['question']}"},
                {"role": "assistant", "content": [{"type": "text", "text": f"{ROW['solution']} The answer is {NUMBER}."}]},
            ]
        },
        Spelling.CHAT,
    ),
    (
        "ShareGPT",
        {"conversations": [{"from": "human", "value": f"{ROW['problem']}{ROW['question']}"}, {"from": "gpt", "value": ROW["solution"]}]},
        Spelling.CHAT,
    ),
]


@pytest.mark.parametrize(("row", "kind"), [case[1:] for case in SPELLINGS], ids=[case[0] for case in SPELLINGS])
def test_a_right_solution_is_right_in_every_spelling_and_the_spelling_is_told(row: Row, kind: Spelling | None) -> None:
    (found,) = verify_rows([row], PLAIN)
    assert isinstance(found, Judged)
    assert found.verdict.correct
    assert found.spellings == () if kind is None else kind in found.spellings


@pytest.mark.parametrize(("row", "kind"), [case[1:] for case in SPELLINGS], ids=[case[0] for case in SPELLINGS])
def test_a_wrong_step_stays_wrong_in_every_spelling(row: Row, kind: Spelling | None) -> None:
    head, _, last = str(ROW["solution"])[:-1].rpartition("= ")
    wrong = f"{(int(last) + 1) % 23}"
    solution, spelled = str(ROW["solution"]), str(row)
    damaged = {**ROW, "solution": f"{head}= {wrong}."}
    (plain,) = verify_rows([damaged], PLAIN)
    assert isinstance(plain, Judged)
    assert not plain.verdict.correct
    if solution not in spelled or not isinstance(row.get("solution"), str):
        return
    respelled = {**row, "solution": str(row["solution"]).replace(solution, f"{head}= {wrong}.")}
    (found,) = verify_rows([respelled], PLAIN)
    assert isinstance(found, Judged)
    assert found.verdict.error in (Error.WRONG_ARITHMETIC, Error.WRONG_REFERENCE, Error.WRONG_VALUE)


@pytest.mark.parametrize(
    "row",
    [
        {**ROW, "answer": f"{(int(NUMBER) + 1) % 23}."},
        {**ROW, "solution": f"{ROW['solution']} Answer: {(int(NUMBER) + 1) % 23}."},
        {**ROW, "answer": "none of them"},
        {**ROW, "answer": f"-{int(NUMBER) + 1}"},
        {**ROW, "answer": f"{NUMBER} (mod 7)"},
        {**ROW, "solution": str(ROW["solution"]).replace(" * ", " ** ")},
        {**ROW, "solution": str(ROW["solution"]).replace("so ", "So ")},
        {**ROW, "solution": str(ROW["solution"])[:-1]},
        {**ROW, "solution": str(ROW["solution"]).replace(" * ", " x ")},
        {**ROW, "solution": "\u00b2" + str(ROW["solution"])},
        {**ROW, "solution": str(ROW["solution"]).replace(". Define", ".3. Define", 1)},
        {**ROW, "solution": str(ROW["solution"]).replace(". Define", ". 3. Define", 1)},
        {**ROW, "solution": f"7. {str(ROW['solution']).strip()}"},
        {**ROW, "answer": f"\\frac{{{NUMBER}}}{{2}}"},
        {**ROW, "solution": f"<think>a = 1.</think>{ROW['solution']}"},
    ],
    ids=[
        *("answer", "answer at the end", "no number", "negative", "another modulus", "a power", "So", "no dot", "letter x", "superscript"),
        *("a fraction", "a stray number", "no first of a list", "LaTeX fraction", "thoughts"),
    ],
)
def test_what_changes_the_meaning_or_leaves_the_grammar_stays_wrong(row: Row) -> None:
    (found,) = verify_rows([row], PLAIN)
    assert isinstance(found, Judged)
    assert not found.verdict.correct


@pytest.mark.parametrize("answer", [None, "", "  ", float("nan"), ["2"], {"value": 2}, True, 1.5])
def test_a_missing_answer_and_what_is_none_are_refused_by_name(answer: object) -> None:
    (found,) = verify_rows([{**ROW, "answer": answer}], PLAIN)
    assert isinstance(found, Refused)
    assert found.field == "answer"


def test_exact_judges_byte_for_byte() -> None:
    rows = [row for _, row, kind in SPELLINGS if kind in (Spelling.WHITE_SPACE, Spelling.ANSWER_FORM, Spelling.MARKERS)]
    found = list(verify_rows(rows, PLAIN, exact=True))
    assert len(found) > 10
    assert not any(isinstance(one, Judged) and one.verdict.correct for one in found)
    (right,) = verify_rows([ROW], PLAIN, exact=True)
    assert right == next(iter(verify_rows([ROW], PLAIN)))


def test_names_of_the_world_keep_their_characters() -> None:
    world = make_world(
        [
            {
                "Shop": [["Joe\u2019s", "B\u2013C", "\uff21\uff22", "D"]],
                "Shelf": [["Top", "Low", "Mid", "Back"]],
                "Box": [["Red", "Blue", "Grey", "Pink"]],
                "Toy": [["Ball", "Kite", "Doll", "Drum"]],
            }
        ],
        lenient=True,
    )
    for name in ("Joe\u2019s", "B\u2013C", "\uff21\uff22"):
        row = {
            "problem": f"The number of each {name}'s Top equals 5.",
            "question": f"How many Top does {name} have?",
            "solution": f"Define {name}'s Top as a; so a = 5.",
        }
        (found,) = verify_rows([row], world)
        assert isinstance(found, Judged)
        assert found.verdict.correct
