"""Two units, one of which reads the other, for tests of the store."""

from igsm_pipeline.store import Store, Unit

SOURCE = Unit("problem_sets", "train", 1, {"num_problems": 3})
READER = Unit("token_shards", "train", 1, {"window": 64}, {"problems": SOURCE})


def fill(store: Store, unit: Unit, text: str = "data") -> None:
    with store.write(unit) as writing:
        (writing.folder / "part").mkdir(exist_ok=True)
        (writing.folder / "part" / "a.bin").write_text(text)
