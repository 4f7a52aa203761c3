"""Claims about the model behind the play page."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from reference.tiny_mind import make_mind

from igsm_pipeline.play import live
from igsm_pipeline.play.asking import draw_problem
from igsm_pipeline.play.live import LiveMind


def test_a_problem_is_drawn_while_the_model_is_still_being_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mind, drawn, answers = LiveMind(make_mind(tmp_path)), threading.Event(), list[dict[str, Any]]()

    def draw(*arguments: Any) -> Any:
        problem = draw_problem(*arguments)
        drawn.set()
        return problem

    monkeypatch.setattr(live, "draw_problem", draw)
    asking = threading.Thread(target=lambda: answers.append(mind.draw("own", 3, 5)), daemon=True)
    asking.start()
    assert drawn.wait(120), "the problem waits for the model"
    assert not mind.state["ready"]
    assert not answers
    mind.start()
    asking.join(120)
    assert answers[0]["scene"]["parameters"]
