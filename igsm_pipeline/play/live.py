"""The model behind the page: in a process of its own, so that the page opens at once and draws while the model loads; one question at a time.

Ours: a process, not a thread. Importing torch and transformers takes seconds and lets no other thread compute, and a page that answers while a model
computes is worth the second copy of the interpreter.
"""

from __future__ import annotations

import threading
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from typing import Any

from igsm_pipeline.errors import BadInput, IgsmError
from igsm_pipeline.play.asking import draw_problem, families_of, parse_typed, place_of, read_typed
from igsm_pipeline.play.model_process import load_mind, solve_and_read
from igsm_pipeline.player.files import MindFiles
from igsm_pipeline.problems.problem import Problem
from igsm_pipeline.processes.pools import begin_worker, end_workers, make_pool
from igsm_pipeline.text import document

Answer = dict[str, Any]


class LiveMind:
    """A mind that answers: ``draw`` and ``solve`` give documents for the player.

    Args:
        files: where model and probes lie.
    """

    def __init__(self, files: MindFiles) -> None:
        self.files, self.families = files, families_of(files.family)
        self._drawing, self._loaded, self._failed = threading.Lock(), threading.Event(), ""
        self._pool: ProcessPoolExecutor | None = None

    def start(self) -> None:
        """Begin to load, in the background. Call it in the main thread: the model's process ends with the thread that started it."""
        self._pool = make_pool(1, begin_worker)
        self._pool.submit(load_mind, self.files).add_done_callback(self._tell)

    def stop(self) -> None:
        """End the model's process, whatever it does; nothing is asked afterwards."""
        if self._pool is not None:
            end_workers(self._pool)

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
        return self._answer(problem, f"drawn/{family}/{op or 'any'}/{seed}")

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
        return self._answer(problem, f"typed/{number}")

    def _answer(self, problem: Problem, name: str) -> Answer:
        """Ask the model's process, when it has loaded."""
        self._loaded.wait()
        if self._failed or self._pool is None:
            raise IgsmError(self._failed or "the model is not loaded")
        try:
            scene, seconds = self._pool.submit(solve_and_read, problem, name).result()
        except BrokenExecutor:
            self._failed = "the process of the model has ended, perhaps for want of memory: stop this page and start `igsm play` again"
            raise IgsmError(self._failed) from None
        return {"scene": scene, "text": document(problem, self.files.family.format).prompt.strip(), "seconds": seconds}

    def _tell(self, loading: Future[None]) -> None:
        """Note how loading ended; whatever failed, the page says it."""
        if not loading.cancelled() and (error := loading.exception()) is not None:
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
