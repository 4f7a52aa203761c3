"""A finished member is recorded beside its report, played from the store, and played from what was published, with nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from reference.tiny_experiment import MEMBER

import igsm_pipeline as igsm
from igsm_pipeline.cli import main
from igsm_pipeline.experiments.experiment import find_member
from igsm_pipeline.notebook.member import MemberMind
from igsm_pipeline.play.live import LiveMind
from igsm_pipeline.play.opening import open_mind_files
from igsm_pipeline.player import scenes
from igsm_pipeline.player.files import RECORDED
from igsm_pipeline.player.scene import STEP_TASKS
from igsm_pipeline.store import Store
from igsm_pipeline.toolbox.publishing import publish


def test_the_problems_of_a_slice_are_read_once_for_all_that_are_chosen_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen, read = [SimpleNamespace(slice=part, row=row) for part in ("a", "b") for row in (1, 2)], list[Path]()
    files = SimpleNamespace(world=None, family=SimpleNamespace(modulus=5))
    for name, stands_in in {
        "files_of_units": lambda name, units: files,
        "MindReader": lambda files, device: None,
        "chosen_of_units": lambda units: chosen,
        "read_problems": lambda folder, world, modulus: (read.append(folder), folder.name)[1],
        "_scene": lambda reader, batch, units, one: (batch, one.row),
    }.items():
        monkeypatch.setattr(scenes, name, stands_in)
    made = scenes.scenes_of_units("mine", {f"problem_sets/{part}": Path(part) for part in ("a", "b")})
    assert made == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]
    assert sorted(read) == [Path("a"), Path("b")]


@pytest.mark.slow
def test_the_report_records_the_chosen_problems_with_what_the_model_wrote_and_the_probes_said(tiny_home: Path) -> None:
    mind = igsm.open(MEMBER)
    assert isinstance(mind, MemberMind)
    recorded = json.loads((mind.folder("report") / RECORDED).read_text())
    assert len(recorded) >= 12
    assert {one["slice"] for one in recorded} <= set(mind.slices)
    assert 'class="igsm-player"' in mind.report.read_text()
    for scene in recorded:
        wrote = mind.generations(scene["slice"], beams=1).filter(problem=scene["row"]).row(0, named=True)
        told = scene["solutions"]["own"]
        assert " ".join([*(one["text"] for one in told["sentences"]), told["rest"]]).strip() == wrote["solution"].strip()
        verdict = mind.verdicts(scene["slice"], beams=1).filter(problem=scene["row"]).row(0, named=True)
        assert (told["verdict"]["correct"], told["verdict"]["error"]) == (verdict["correct"], verdict["error"])
    compared = 0
    for scene in (one for one in recorded if one["slice"] == "op<=max"):
        mapped = mind.mental_state("op<=max").filter(problem=scene["row"])
        names = [one["name"] for one in scene["parameters"]]
        for row in mapped.iter_rows(named=True):
            said, at = scene["beliefs"]["trained"], names.index(row["name"])
            if row["task"] in STEP_TASKS and row["task"] != "value":
                assert said["reference"][row["task"]][row["position"]][at] == pytest.approx(row["score"], abs=6e-4)
                compared += 1
    assert compared > 0 or not any(one["slice"] == "op<=max" and one["row"] < 16 for one in scenes)


@pytest.mark.slow
def test_a_published_folder_is_played_with_nothing_else_and_as_the_store_is(tiny_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(find_member(MEMBER), Store.at_home(), tmp_path / "out")
    stored = LiveMind(open_mind_files(MEMBER))
    stored.start()
    drawn = stored.draw("own", 2, 4)
    monkeypatch.setenv("IGSM_HOME", str(tmp_path / "nothing"))
    files = open_mind_files(str(tmp_path / "out"))
    assert files.recorded == tmp_path / "out" / RECORDED
    assert (files.name, files.arms) == (MEMBER, ("trained", "random"))
    published = LiveMind(files)
    published.start()
    assert published.draw("own", 2, 4)["scene"] == drawn["scene"]


@pytest.mark.slow
def test_a_member_is_written_as_one_page(tiny_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["play", MEMBER, "--page", str(tmp_path / "player.html")])
    assert not ended.value.code
    page = (tmp_path / "player.html").read_text()
    assert int(capsys.readouterr().err.split()[0]) == page.count('"id":"')
    for words in (["play", "--page", str(tmp_path / "x.html")], ["play", MEMBER, "--page", str(tmp_path / "no" / "x.html")]):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 2
    assert all(("needs a member" in said) or ("must lie in a folder" in said) for said in capsys.readouterr().err.splitlines())
