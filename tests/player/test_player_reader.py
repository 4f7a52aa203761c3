"""What the player shows is what the probes say: the same numbers as by the route of the records, and nothing of what comes later."""

from pathlib import Path

import numpy as np
import pytest
import torch
from reference.parameter_facts import code_of
from reference.tiny_mind import FAMILY, make_mind

from igsm_pipeline.errors import NotFound
from igsm_pipeline.player.files import MindFiles, files_of_units
from igsm_pipeline.player.packing import Question, pack
from igsm_pipeline.player.reader import MAX_PROMPT, MindReader
from igsm_pipeline.probes.settings import ARMS
from igsm_pipeline.probes.v_probe import predict
from igsm_pipeline.problems import ProblemBatch, ProblemSetSettings, generate
from igsm_pipeline.problems.settings import FamilySettings
from igsm_pipeline.queries.documents import GoldDocuments
from igsm_pipeline.queries.draw import list_queries
from igsm_pipeline.queries.sequences import QueryTokens
from igsm_pipeline.queries.settings import QuerySettings
from igsm_pipeline.queries.tasks import ALL_TASKS, TASKS
from igsm_pipeline.world import load_world


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> MindFiles:
    return make_mind(tmp_path_factory.mktemp("mind"))


@pytest.fixture(scope="module")
def reader(files: MindFiles) -> MindReader:
    return MindReader(files)


def drawn(family: FamilySettings = FAMILY, number: int = 4) -> ProblemBatch:
    settings = ProblemSetSettings(family=family, num_problems=number, block_size=number, seed=3)
    return next(iter(generate(settings, load_world("mini"))))


@pytest.mark.parametrize("format", ["qp", "pq"])
def test_every_belief_along_the_reference_is_that_of_the_probe_scores(tmp_path: Path, format: str) -> None:
    family = FAMILY.model_copy(update={"format": format})
    reader, batch = MindReader(make_mind(tmp_path, family=family)), drawn(family)
    compared = 0
    for arm in ARMS:
        for task in ALL_TASKS:
            queries = list_queries(batch, QuerySettings(family=family, task=task))
            tokens = QueryTokens(batch, queries, GoldDocuments(batch, reader.table, family.format), reader.table)
            prediction, score = predict(reader.probe(task, arm), reader.model(arm), tokens, device=torch.device("cpu"), max_tokens=4096)
            for row, problem in enumerate(batch):
                said = reader.read(problem, {"reference": reader.reference(problem)})[arm]
                codes = [code_of(batch.records[row], one) for one in reader.parameters(problem)]
                for query, label, strength in zip(queries.to_pylist(), prediction.tolist(), score.tolist(), strict=True):
                    if query["problem"] != row:
                        continue
                    a, t = codes.index(query["parameter"]), query["position"]
                    if TASKS[task].needs_b:
                        mine = said[task][a, codes.index(query["parameter_b"])]
                    elif TASKS[task].valued:
                        assert said["reference"][task][t, a].argmax() == label
                        mine = said["reference"][task][t, a].max()
                    else:
                        mine = said[task][a] if task == "nece" else said["reference"][task][t, a]
                    assert mine == pytest.approx(strength, abs=2e-6)
                    compared += 1
    assert compared > 500


def test_a_belief_after_a_sentence_does_not_know_what_comes_later(reader: MindReader) -> None:
    problem = next(one for one in drawn(number=8) if len(one.order) > 2)
    whole = reader.reference(problem)
    cut = reader.read_tokens(whole.ids[: whole.ends[0] + 1])
    assert (len(cut.sentences), cut.answer, cut.finished) == (1, None, False)
    said = reader.read(problem, {"own": cut, "reference": whole})["trained"]
    for task in ("known", "value", "can_next", "nece_next"):
        np.testing.assert_allclose(said["own"][task], said["reference"][task][:2], atol=2e-6)
    assert np.abs(said["reference"]["known"][2:] - said["reference"]["known"][1]).max() > 1e-4


def test_what_a_model_writes_comes_apart_into_sentences_and_a_rest(reader: MindReader) -> None:
    problem = drawn()[0]
    text = reader.reference(problem)
    assert " ".join(text.sentences) == text.solution.strip()
    assert (text.rest, text.finished, text.answer.strip()) == ("", True, str(problem.values[problem.query]))
    broken = reader.read_tokens(text.ids[: text.ends[-1] - 1])
    assert len(broken.sentences) == len(text.sentences) - 1
    assert broken.rest
    assert text.solution.strip().startswith(" ".join([*broken.sentences, broken.rest]))
    nothing = reader.read_tokens(np.empty(0, np.int64))
    assert (nothing.sentences, nothing.rest, nothing.finished) == ((), "", False)


def test_a_model_writes_the_same_twice_and_stops_in_time(reader: MindReader) -> None:
    problem = drawn()[1]
    first, second = reader.solve(problem), reader.solve(problem)
    assert first.ids.tolist() == second.ids.tolist()
    assert 0 < len(first.ids) <= reader.files.max_tokens
    assert len(reader.prompt(problem)) < MAX_PROMPT


def test_questions_are_divided_without_changing_an_answer(reader: MindReader) -> None:
    problem = drawn()[0]
    prompt = reader.prompt(problem)
    names = [reader.table.encode(f" {problem.name(one)}").astype(np.int64) for one in reader.parameters(problem)]
    questions = [Question(stop, name) for stop in range(2, len(prompt) - 1) for name in names]
    markers = reader.table.probe_markers
    few, many = (list(pack(prompt, questions, markers, budget)) for budget in (1, 1 << 20))
    assert len(few) > 3
    assert len(many) == 1
    assert sum(len(part.ends) for part in few) == len(questions) == len(many[0].ends)
    for part in (*few, *many):
        assert (part.ids[part.rows, part.ends] == markers[2]).all()
        assert (part.positions[part.rows, part.ends] - part.reads >= 3).all()


def test_units_of_a_member_without_probes_are_refused_with_the_command(files: MindFiles, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no world, checkpoint of mine to look into: .*`igsm run mine`"):
        files_of_units("mine", {})
    with pytest.raises(NotFound, match="no V-probe of the trained model of mine"):
        files_of_units("mine", {"world/world": tmp_path, "checkpoint/checkpoint": files.models["trained"]})
