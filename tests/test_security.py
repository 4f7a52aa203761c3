"""What must never happen: objects unpickled, code of others run, a page open to the network, a name that leads out of the data folder."""

import ast
import gc
import io
import json
import tarfile
from pathlib import Path

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

import igsm_pipeline
from igsm_pipeline.cli import main
from igsm_pipeline.defs.operating import ui
from igsm_pipeline.defs.operating.instance import OWNER_TAG, close_dead_runs
from igsm_pipeline.errors import BadInput, BadSettings, NotFound, StoreError
from igsm_pipeline.experiments.experiment import find_member, load_members
from igsm_pipeline.planning.flow import find_stage
from igsm_pipeline.store import Store, Unit, content_of, hash_file
from igsm_pipeline.store.archives import export_units, import_units

PACKAGE = Path(igsm_pipeline.__file__).parent
UNPICKLERS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "pandas.read_pickle"}
EVIL = [
    "../evil",
    "../../etc/passwd",
    "/etc/passwd",
    "..",
    ".",
    "",
    "a/../../b",
    "evil\x00",
    "\u202egnp.exe",
    "ｍini",
    "mini ",
    "mini\n",
    "~root",
    "C:\\evil",
]


def calls():
    """(place, name as written, keyword -> expression) of every call in the package."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                words = {word.arg: ast.unparse(word.value) for word in node.keywords}
                yield f"{path.relative_to(PACKAGE)}:{node.lineno}", ast.unparse(node.func), words


def test_nothing_that_unpickles_is_imported():
    gc.collect()  # what a finalizer raises while CPython 3.11 builds a tree is a SystemError there
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            module = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += [f"{path}: {name}" for name in (*names, *module) if name.split(".")[0] in UNPICKLERS]
    assert not found


def test_whatever_could_unpickle_is_told_not_to():
    wrong = []
    for place, name, words in calls():
        if name in ("torch.load", "load_state_dict_from_url") and words.get("weights_only") != "True":
            wrong.append(f"{place} {name}")
        if name in ("np.load", "numpy.load") and words.get("allow_pickle", "False") != "False":
            wrong.append(f"{place} {name}")
        if name in ("eval", "exec", "compile", "__import__", "os.system", "os.popen") or words.get("shell", "False") != "False":
            wrong.append(f"{place} {name}")
        if name == "yaml.load" and words.get("Loader") != "_Loader":  # experiments.experiment._Loader is a SafeLoader
            wrong.append(f"{place} {name}")
    assert not wrong


def test_no_model_folder_runs_code_or_is_looked_up_elsewhere():
    loads = [(place, name, words) for place, name, words in calls() if name.endswith(".from_pretrained")]
    assert loads
    wrong = [place for place, _, words in loads if words.get("trust_remote_code") != "False" or words.get("local_files_only") != "True"]
    wrong += [place for place, name, words in loads if name.startswith("AutoModel") and words.get("use_safetensors") != "True"]
    assert not wrong


def test_servers_are_started_on_this_machine_only():
    assert ui.HOST == "127.0.0.1"
    for server in ui.servers(3000, 5000):
        if server.url is not None:
            assert server.url.startswith("http://127.0.0.1:")
            assert ui.HOST in server.command
    assert not [path for path in PACKAGE.rglob("*.py") if "0.0.0.0" in path.read_text(encoding="utf-8")]


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A data root of the test's own, within a folder that nothing may touch."""
    home = tmp_path / "outer" / "home"
    (home / "experiments").mkdir(parents=True)
    monkeypatch.setenv("IGSM_HOME", str(home))
    monkeypatch.delenv("IGSM_EXPERIMENTS", raising=False)
    return home


def outside(home):
    """Everything beside the data root."""
    return sorted(path for path in home.parent.rglob("*") if not path.is_relative_to(home))


@pytest.mark.parametrize("name", EVIL)
def test_evil_names_of_members_stages_and_units_find_nothing(home, name):
    with pytest.raises(NotFound):
        find_member(name)
    with pytest.raises(NotFound):
        find_stage(name)
    for command in (["plan", name], ["status", name], ["report", name], ["export", name, "--out", str(home / "x.tar")], ["run", name]):
        with pytest.raises(SystemExit) as ended:
            main(command)
        assert ended.value.code == 2
    assert not outside(home)


@given(st.text(max_size=20))
def test_no_text_is_a_member_that_is_not_listed(name):
    members = load_members()
    if name not in members:
        with pytest.raises(NotFound):
            find_member(name)


@pytest.mark.parametrize("name", ["..", "-rf", "--stage=world", "a b", "ｍini", "a\u202eb", "a|b", "a,b", "a\nb", "x" * 101])
def test_evil_names_of_experiment_files_are_refused(home, name):
    (home / "experiments" / f"{name}.yaml").write_text("base: mini\n")
    with pytest.raises(BadSettings, match="must"):
        load_members()


@pytest.mark.parametrize("label", [name for name in EVIL if name not in ("..", ".")])
def test_evil_labels_of_a_grid_are_refused(home, label):
    (home / "experiments" / "grid.yaml").write_text(json.dumps({"base": "mini", "grid": {"training.seed": {label: 0}}}))
    with pytest.raises(BadSettings):
        load_members()


def test_a_name_within_a_file_does_not_rename_it(home):
    (home / "experiments" / "good.yaml").write_text("base: mini\nname: ../evil\n")
    with pytest.raises(BadSettings, match="must be the file's name"):
        load_members()


def unit_of(store):
    """A finished unit with one file."""
    unit = Unit("world", "world", 1, {"source": "mini"})
    with store.write(unit) as writing:
        (writing.folder / "world.json").write_text("{}")
    return unit


@pytest.mark.parametrize(
    "entry", ["../evil", "/tmp/evil", "world/../../evil", "world/0123/../../../evil", "evil/0123/x", "world/..", "world/0123/a\x01/../../../../x"]
)
def test_an_archive_cannot_write_outside_the_store(home, tmp_path, entry):
    with tarfile.open(tmp_path / "evil.tar", "w") as tar:
        info = tarfile.TarInfo(entry)
        info.size = 4
        tar.addfile(info, io.BytesIO(b"evil"))
    with pytest.raises(BadInput):
        import_units(Store(home / "store"), tmp_path / "evil.tar")
    assert not outside(home)
    assert not [path for path in home.rglob("*") if path.is_file()]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_an_archive_brings_plain_files_only(home, tmp_path, kind):
    with tarfile.open(tmp_path / "evil.tar", "w") as tar:
        info = tarfile.TarInfo("world/0123/world.json")
        info.type, info.linkname = kind, "/etc/passwd"
        tar.addfile(info)
    with pytest.raises(BadInput):
        import_units(Store(home / "store"), tmp_path / "evil.tar")


def test_a_manifest_that_names_a_file_elsewhere_is_not_exported(home, tmp_path):
    store = Store(home / "store")
    unit = unit_of(store)
    secret = home.parent / "secret"
    secret.write_text("secret")
    path = store.path(unit) / "manifest.json"
    manifest = json.loads(path.read_text())
    stat = secret.stat()
    manifest["files"]["../../../../secret"] = {"bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns, "sha256": hash_file(secret)}
    manifest["content"] = content_of(manifest["files"])
    del manifest["checksum"]  # as in units of before there was one
    path.write_text(json.dumps(manifest))
    with pytest.raises(StoreError, match="which is no file of its folder"):
        export_units(store, [unit], tmp_path / "out.tar")
    assert not (tmp_path / "out.tar").exists()


def test_a_file_of_a_unit_that_is_a_link_to_elsewhere_is_not_exported(home, tmp_path):
    store = Store(home / "store")
    unit = unit_of(store)
    name = next(iter(store.manifest(unit)["files"]))
    place, secret = store.path(unit) / name, home.parent / "secret"
    place.rename(secret)
    place.symlink_to(secret)
    with pytest.raises(StoreError, match="names a file elsewhere"):
        export_units(store, [unit], tmp_path / "out.tar")
    assert not (tmp_path / "out.tar").exists()


@pytest.mark.parametrize("owner", EVIL)
def test_a_tag_of_a_run_cannot_remove_a_file(home, owner):
    victim = home.parent / "evil.lock"
    victim.write_text("precious")

    @dg.job
    def empty():
        """A job to make a run of."""

    with dg.DagsterInstance.ephemeral() as instance:
        instance.create_run_for_job(empty, status=dg.DagsterRunStatus.STARTED, tags={OWNER_TAG: owner})
        instance.create_run_for_job(empty, status=dg.DagsterRunStatus.STARTED, tags={OWNER_TAG: "../../../evil"})
        close_dead_runs(instance, home)
    assert victim.read_text() == "precious"
    assert outside(home) == [victim]
