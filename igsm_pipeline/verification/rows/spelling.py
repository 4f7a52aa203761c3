"""Spells texts as the generator writes them, where the difference does not change their meaning.

Ours: characters that a world's names contain are never changed, so a name with a typographic apostrophe keeps it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from enum import StrEnum
from functools import lru_cache

from igsm_pipeline.world import World


class Spelling(StrEnum):
    """A difference in spelling that does not change a text's meaning, in words for a person."""

    CHAT = "chat messages"
    ONE_TEXT = "problem and solution in one text"
    MARKERS = "markers of a decode"
    LABELS = 'labels such as "Solution:"'
    LAYOUT = "lists or bold text"
    ESCAPES = "escaped characters"
    INVISIBLE = "byte-order marks or other invisible characters"
    APOSTROPHES = "typographic apostrophes"
    DASHES = "typographic dashes"
    MULTIPLICATION = "typographic multiplication signs"
    WIDTH = "full-width or other variants of characters"
    WHITE_SPACE = "missing, other or additional white space"
    ANSWER_AT_END = "an answer at the end of the solution"
    ANSWER_FORM = "another form of the answer"


_APOSTROPHES = frozenset("’‘‛ʼʹʻˈ′＇`´❛❜ꞌ‚׳")
_MULTIPLICATION = frozenset("×⋅·∙•∗✕✖⨯⨉＊﹡⁎")
_DASHES = frozenset("−‐‑‒–—―﹣－⁃˗➖")
_SIGNS = {"\u3002": ".", "\u2261": "="}
_TOKEN_SPACES = frozenset("ĠĊ▁")
"""How tokenizers write a space or a line break within their tokens."""
_SAFE_VARIANTS = ("<wide>", "<narrow>", "<noBreak>", "<compat>", "<font>", "<small>")
_MARKER = re.compile(
    r"\s*(?:<\|(?:im_start|start_header_id)\|>\s*(?:user|assistant)\b(?:\s*<\|end_header_id\|>)?|<start_of_turn>(?:user|model)\b|<(?:start|end)_of_turn>"
    r"|<\|(?!back\|>)[A-Za-z_]{1,30}\|>|</?s>|\[(?:PAD|CLS|SEP|BOS|EOS|/?INST)\]|<(?:pad|bos|eos)>|</?(?:think|answer|solution)>|```[a-z]*)\s*"
)
_TAG = re.compile(r"</?(?:p|br|li|ol|ul|b|i|em|strong|code|pre|div|span|h[1-6])(?:\s[^<>]{0,100})?/?>")
_LOST = re.compile("(^|[.?\\s])\\s*\ufffd+")
_ESCAPE = re.compile(
    r"&(?:amp;)*(?P<entity>#39|#x27|apos|rsquo|lsquo|nbsp|times|minus|#0?38|amp);|\\u(?P<code>[0-9A-Fa-f]{4})|\\'|\\r\\n|\\[nrt](?![a-z])"
)
_ESCAPED = {"nbsp": " ", "times": "*", "minus": "-", "#38": "&", "#038": "&", "amp": "&"}
_TIMES = re.compile(r"\\(?:times|cdot|ast)(?![A-Za-z])|\\\*")
_STARTS = ("Define", "The number", "How many")
_SENTENCE = r"(?:Define|The number of each|How many)\b"
"""What sentences begin with."""
_MATH = re.compile(r"\$|\\[()\[\]]|(?<![A-Za-z])`|`(?![A-Za-z])")
_BULLET = re.compile(rf"(?m)^\s*[\u2022\u2023\u25aa\u25cf\u25e6\u2013\u2014]\s+(?={_SENTENCE})")
_EMPHASIS = re.compile(rf"[*_]{{2,}}|(?<!\S)[*_](?={_SENTENCE})|(?<=[.?])[*_](?!\S)")
_QUOTES = {'"': '"', "'": "'", "\u201c": "\u201d", "\u201e": "\u201c", "\u00ab": "\u00bb"}
_MARK = r"(?:\(?(?:step )?(?P<number>[0-9]{1,3})[.):]{1,2}|[-*>+#\u2022]{1,6}) "
_LIST_MARK = re.compile(rf"(?:^|(?<=[.?] )){_MARK}(?={_SENTENCE})", re.IGNORECASE)
_PROBLEM_LABEL = re.compile(
    rf"^[>#*_ ]*(?:problem|question|prompt|q)\s*:\s*(?=\S)|(?:^[>#*_ ]*|(?<=[.?] )[>#*_ ]*)(?:problem|question|prompt|q)\s*:?\s*(?={_SENTENCE})",
    re.IGNORECASE,
)
_SOLUTION_LABEL = re.compile(
    rf"^[>#*_ ]*(?:solution|reasoning|completion|response|a)\b[*_ ]*(?::[*_ ]*)?(?=(?:{_MARK.replace('?P<number>', '?:')})?Define\b)", re.IGNORECASE
)
_BEFORE_SIGN = re.compile(r" +(?=[.?,;])")
_AFTER_SIGN = re.compile(r"(?<=[.?,;])(?=[A-Za-z0-9])")
_STEPS = re.compile("(?<=; )[^;.]+")
_OPERATOR = re.compile("(?<=[A-Za-z0-9]) ?([+*-]) ?(?=[A-Za-z0-9])")


class Speller:
    """Spells texts as the generator does.

    Args:
        world: its names stay unchanged.
    """

    def __init__(self, world: World) -> None:
        names = [name for _, name in world.items()] + [name for hierarchy in world.hierarchies for name in hierarchy.categories]
        self._kept = frozenset("".join(names))
        self._composed = all(unicodedata.is_normalized("NFC", name) for name in names)
        self._known: dict[str, tuple[str, Spelling | None]] = {}

    def respell_problem(self, text: str, found: set[Spelling]) -> str:
        """Statements, question or both, with one leading space; empty if there are none.

        Args:
            text: the text as it came.
            found: gets the kinds of spelling that were changed.
        """
        text = self.respell(text, found, prose=True)
        if _starts_strangely(text):
            text = self._take_off(text, _PROBLEM_LABEL, found)
            text = self._change(_without_list_marks(text, solution=False), text, Spelling.LAYOUT, found)
        return self._lead(self._change(_AFTER_SIGN.sub(" ", _BEFORE_SIGN.sub("", text)), text, Spelling.WHITE_SPACE, found))

    def respell_steps(self, text: str, found: set[Spelling]) -> str:
        """A solution whose characters have been respelt, with one leading space and single spaces around signs; arguments as above."""
        text = text.strip()
        if _starts_strangely(text):
            text = self._take_off(text, _SOLUTION_LABEL, found)
            text = self._change(_without_list_marks(text, solution=True), text, Spelling.LAYOUT, found)
        spaced = re.sub(r"\s*([;=])\s*", lambda sign: f"{sign[1]} " if sign[1] == ";" else " = ", text)
        spaced = re.sub(r"\s*\.\s*", ". ", spaced).strip()
        spaced = _STEPS.sub(lambda step: _OPERATOR.sub(r" \1 ", step[0]), spaced)
        return self._lead(self._change(spaced, text.strip(), Spelling.WHITE_SPACE, found))

    def respell(self, text: str, found: set[Spelling], *, led: bool = False, prose: bool = False) -> str:
        """Change only characters and white space; the result has no space at its ends.

        Args:
            text: the text as it came.
            found: gets the kinds of spelling that were changed.
            led: the generator writes it with one leading space; another beginning or end counts as changed.
            prose: it has sentences, whose bold, italic or mathematical letters and whose quotes around them are taken off.
        """
        if "<" in text or "[" in text or "\ufffd" in text or "```" in text:
            bare = _LOST.sub(r"\1 ", _MARKER.sub(" ", text))
            text = self._change(f" {bare.strip()}", text, Spelling.MARKERS, found) if bare != text else text
        if "\\" in text and "\\" not in self._kept:
            text = self._change(_TIMES.sub("*", text), text, Spelling.MULTIPLICATION, found)
        if "&" in text or "\\" in text:
            text = self._change(_ESCAPE.sub(self._unescape, text), text, Spelling.ESCAPES, found)
        text = self._plain(self._change(self._without_layout(text), text, Spelling.LAYOUT, found) if prose else text, found)
        bare = " ".join(text.split())
        if bare != text.strip(" ") or (led and bare and text != f" {bare}"):
            found.add(Spelling.WHITE_SPACE)
        return bare

    def _without_layout(self, text: str) -> str:
        """The text without tags of HTML, mathematical mode, bold and italic letters and quotes around the whole; marks of lists stay."""
        for pattern, instead, signs, marks in (
            (_TAG, " ", "<", ("<",)),
            (_MATH, "", "$\\`", ("$", "\\", "`")),
            (_EMPHASIS, "", "*_", ("**", "_", "*D", "*T", "*H", ".*", "?*")),
        ):
            if any(sign in text for sign in signs) and any(mark in text for mark in marks) and not self._kept.intersection(signs):
                text = pattern.sub(instead, text)
        bare = text.strip()
        if len(bare) > 1 and _QUOTES.get(bare[0]) == bare[-1]:
            text = f" {bare[1:-1].strip()}"
        return text if text.isascii() else _BULLET.sub("- ", text)

    def _plain(self, text: str, found: set[Spelling]) -> str:
        """The text with plain characters."""
        if text.isascii() and (text.isprintable() or not any(unicodedata.category(one) == "Cc" and not one.isspace() for one in text)):
            return text if "`" not in text or "`" in self._kept else self._change(text.replace("`", "'"), text, Spelling.APOSTROPHES, found)
        plain = self._change(unicodedata.normalize("NFC", text), text, Spelling.WIDTH, found) if self._composed else text
        changes = {}
        for one in set(plain):
            if one not in self._known:
                self._known[one] = (one, None) if one in self._kept else plain_character(one)
            changes[one], kind = self._known[one]
            if kind is not None:
                found.add(kind)
        return "".join(map(changes.__getitem__, plain))

    def _unescape(self, escaped: re.Match[str]) -> str:
        if escaped["entity"]:
            return _ESCAPED.get(escaped["entity"], "'")
        if "\\" in self._kept:
            return escaped[0]
        if escaped["code"]:
            return chr(int(escaped["code"], 16))
        return "'" if escaped[0] == "\\'" else " "

    @staticmethod
    def _lead(text: str) -> str:
        text = text.strip()
        return f" {text}" if text else ""

    @staticmethod
    def _take_off(text: str, label: re.Pattern[str], found: set[Spelling]) -> str:
        return Speller._change(label.sub("", text), text, Spelling.LABELS, found)

    @staticmethod
    def _change(after: str, before: str, kind: Spelling, found: set[Spelling]) -> str:
        if after != before:
            found.add(kind)
        return after


def _starts_strangely(text: str) -> bool:
    """Whether some sentence does not begin as the generator's do: labels and marks of lists are looked for only then."""
    sentences = text.count(". ") + text.count("? ")
    return not text.startswith(_STARTS) or sentences != sum(text.count(f"{end} {start}") for end in ".?" for start in _STARTS)


def _without_list_marks(text: str, *, solution: bool) -> str:
    """The text without the marks of a list of its sentences.

    Numbers must count from 1, or they are left, being part of a sentence; only a question alone may have any. The list of a solution must begin with
    its first sentence.
    """
    marks = list(_LIST_MARK.finditer(text))
    numbers = [int(mark["number"]) for mark in marks if mark["number"]]
    begins, counted = bool(marks) and marks[0].start() == 0, numbers == list(range(1, len(numbers) + 1))
    return _LIST_MARK.sub("", text) if (begins and counted) or (not solution and (counted or (begins and len(marks) == 1))) else text


@lru_cache(maxsize=64)
def speller_of(world: World) -> Speller:
    """The speller of a world; it is made once."""
    return Speller(world)


def plain_character(one: str) -> tuple[str, Spelling | None]:
    """A character as the generator writes it, and the kind of spelling that this changes; an unchanged character comes with None."""
    for plain, kind in _readings(one):
        return plain, kind
    return one, None


def _readings(one: str) -> Iterator[tuple[str, Spelling]]:
    category = unicodedata.category(one)
    if one in _APOSTROPHES:
        yield "'", Spelling.APOSTROPHES
    if one in _MULTIPLICATION:
        yield "*", Spelling.MULTIPLICATION
    if one in _DASHES:
        yield "-", Spelling.DASHES
    if one in _SIGNS:
        yield _SIGNS[one], Spelling.WIDTH
    if one in _TOKEN_SPACES:
        yield " ", Spelling.MARKERS
    if one == " ":
        return
    if one.isspace() or category.startswith("Z"):
        yield " ", Spelling.WHITE_SPACE
    if category in ("Cf", "Cc") or "\ufe00" <= one <= "\ufe0f":
        yield "", Spelling.INVISIBLE
    if category == "Nd" and not one.isascii():
        yield str(unicodedata.decimal(one)), Spelling.WIDTH
    if unicodedata.decomposition(one).startswith(_SAFE_VARIANTS):
        yield unicodedata.normalize("NFKC", one), Spelling.WIDTH
