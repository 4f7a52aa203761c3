"""The model behind the page: loaded by a thread of its own, so that the page opens at once; then asked by one request at a time."""

from __future__ import annotations

import threading
import time
from typing import Any

from igsm_pipeline.errors import BadInput, IgsmError
from igsm_pipeline.play.asking import draw_problem, families_of, parse_typed, place_of, read_typed
from igsm_pipeline.player.files import MindFiles
from igsm_pipeline.problems.problem import Problem
from igsm_pipeline.processes.imports import quick_imports
from igsm_pipeline.text import document

Answer = dict[str, Any]


class LiveMind:
    """A mind that answers: ``draw`` and ``solve`` give documents for the player.

    Args:
        files: where model and probes lie.
    """

    def __init__(self, files: MindFiles) -> None:
        self.files, self.families = files, families_of(files.family)
        self._lock, self._drawing, self._loaded, self._failed = threading.Lock(), threading.Lock(), threading.Event(), ""
        self._reader: Any = None

    def start(self) -> None:
        """Begin to load, in the background."""
        threading.Thread(target=self._load, name="load the model", daemon=True).start()

    @property
    def state(self) -> Answer:
        """Whether it is ready, and, if loading failed, why."""
        return {"ready": self._loaded.is_set() and not self._failed, "failed": self._failed}

    def about(self) -> Answer:
        """What the page says of the model."""
        family = self.files.family
        return {
            "member": self.files.name,
            "families": list(self.families),
            "op_max": family.op_max,
            "most": family.num_symbols,
            "modulus": family.modulus,
            "arms": list(self.files.arms),
        }

    def draw(self, family: str, op: int | None, seed: int) -> Answer:
        """Draw a problem, have it solved, and read the probes.

        Returns:
            ``scene`` for the player, ``text`` of the problem, ``seconds``.

        Raises:
            BadInput: no such family, or none of its problems has so many operations.
            IgsmError: the model cannot be loaded.
        """
        if family not in self.families:
            raise BadInput("family", f"must be one of {', '.join(self.families)}", family, "choose one of these")
        with self._drawing:
            problem = draw_problem(self.families[family], self.files.world, op, seed)
        started = self._wait()
        with self._lock:
            return self._answer(problem, started, f"drawn/{family}/{op or 'any'}/{seed}")

    def solve(self, text: str, number: int) -> Answer:
        """Have a typed problem solved, and read the probes; see ``draw``.

        Raises:
            Refusal: the text is no problem; says where.
            IgsmError: the model cannot be loaded.
        """
        typed = read_typed(text)
        try:
            problem = parse_typed(typed, self.files.world, self.files.family.modulus)
        except BadInput as error:
            raise Refusal(error, place_of(error, typed)) from None
        started = self._wait()
        with self._lock:
            return self._answer(problem, started, f"typed/{number}")

    def _answer(self, problem: Problem, started: float, name: str) -> Answer:
        from igsm_pipeline.player.scene import make_scene  # noqa: PLC0415  (loads torch)

        scene = make_scene(self._reader, problem, self._reader.solve(problem), id=name, slice=name.partition("/")[0])
        text = document(problem, self.files.family.format).prompt.strip()
        return {"scene": scene, "text": text, "seconds": round(time.monotonic() - started, 3)}

    def _wait(self) -> float:
        """Wait until the model is there; returns the time from which an answer is counted."""
        self._loaded.wait()
        if self._failed:
            raise IgsmError(self._failed)
        return time.monotonic()

    def _load(self) -> None:
        try:
            with quick_imports():
                from igsm_pipeline.player.reader import MindReader, hide_loading_bars, use_few_threads  # noqa: PLC0415  (loads torch)

            hide_loading_bars()
            self._reader = MindReader(self.files)
            self._reader.load()
            use_few_threads(self._reader)
            self._loaded.set()
        except Exception as error:  # whatever it is, the page says it
            self._failed = f"the model of {self.files.name} cannot be loaded: {error}"
            self._loaded.set()


class Refusal(BadInput):
    """A text is no problem.

    Attributes:
        place: the characters that the refusal is about, (start, end) in what was typed; None for no place.
    """

    def __init__(self, error: BadInput, place: tuple[int, int] | None) -> None:
        self.place = place
        super().__init__(error.field, error.rule, error.got, error.way_out)

    def __reduce__(self) -> tuple[Any, ...]:
        """How it crosses processes."""
        return type(self), (BadInput(self.field, self.rule, self.got, self.way_out), self.place)
