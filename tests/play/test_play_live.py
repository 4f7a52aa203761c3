"""Claims about the model behind the play page."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from reference.tiny_mind import make_mind

from igsm_pipeline.errors import IgsmError
from igsm_pipeline.play import live
from igsm_pipeline.play.asking import draw_problem
from igsm_pipeline.play.live import LiveMind

PUBLISHED = Path(__file__).parents[2] / "data" / "published" / "small"


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
    mind.stop()
    assert answers[0]["scene"]["parameters"]


def test_a_model_whose_process_has_ended_is_said_to_have(tmp_path: Path) -> None:
    mind = LiveMind(make_mind(tmp_path))
    mind.start()
    mind.draw("own", 1, 5)
    for child in multiprocessing.active_children():
        child.kill()
    with pytest.raises(IgsmError, match="process of the model has ended"):
        mind.draw("own", 1, 5)
    assert not mind.state["ready"]
    mind.stop()


def test_only_the_process_of_the_model_loads_torch_and_it_ends_with_the_page(tmp_path: Path) -> None:
    script = tmp_path / "page.py"
    script.write_text(
        """
import multiprocessing, sys
from pathlib import Path
from igsm_pipeline.play.live import LiveMind
from igsm_pipeline.play.opening import published_files

if __name__ == "__main__":
    mind = LiveMind(published_files(Path(sys.argv[1])))
    mind.start()
    print(mind.draw("own", 1, 5)["scene"]["op"], len(multiprocessing.active_children()))
    mind.stop()
    print([name for name in ("torch", "transformers") if name in sys.modules], multiprocessing.active_children())
"""
    )
    command = [sys.executable, str(script), str(PUBLISHED)]
    said = subprocess.run(command, check=True, capture_output=True, text=True)
    assert said.stdout.split("\n") == ["1 1", "[] []", ""]
    assert said.stderr == ""
