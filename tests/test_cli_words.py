"""Wrong words: every command, option and value ends in two or three lines of one grammar and exit code 2, never in a traceback."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import typer

from igsm_pipeline.cli import app, border, main
from igsm_pipeline.cli.streams import QUIET
from igsm_pipeline.errors import did_you_mean
from igsm_pipeline.planning.speeds import H100, write_speeds
from igsm_pipeline.running.__main__ import main as library

ROOT = Path(__file__).parents[1]
GROUP: Any = typer.main.get_command(app)
COMMANDS: dict[str, Any] = dict(GROUP.commands)


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IGSM_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("IGSM_EXPERIMENTS", raising=False)
    monkeypatch.delenv(QUIET, raising=False)
    write_speeds(H100, tmp_path / "home")


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(words)
    return int(ended.value.code or 0)


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    """The lines of a refusal."""
    code = run(*words)
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert code == 2, (words, err)
    assert out == ""
    assert 1 <= len(lines) <= 3, (words, err)
    assert "Traceback" not in err
    return lines


def required(command: Any) -> list[str]:
    """Words that satisfy a command's required parameters; the file is this one."""
    words = []
    for parameter in command.params:
        if parameter.required:
            words += [__file__] if parameter.param_type_name == "argument" else [parameter.opts[0], "x"]
    return words


def options_of(command: Any) -> Iterator[Any]:
    return (parameter for parameter in command.params if parameter.param_type_name == "option" and "--help" not in parameter.opts)


def valued(command: Any) -> Iterator[Any]:
    return (option for option in options_of(command) if not option.is_flag)


@pytest.mark.parametrize("name", COMMANDS)
def test_an_option_that_a_command_lacks_is_named_and_the_nearest_one_offered(capsys, name):
    lines = refused(capsys, name, "--frobnicate")
    assert lines[0] == f"igsm {name}: option must be one that it has, got '--frobnicate'"
    assert lines[-1] == f"`igsm {name} --help` shows what it takes"
    for option in options_of(COMMANDS[name]):
        longest = max(option.opts, key=len)
        if len(longest) > 6:
            assert f"did you mean {longest}" in refused(capsys, name, longest[:-1] + "q")[1]


NEAR = {
    "run mini --upto verdicts": "did you mean --stage?",
    "run mini --foo": "",
    "run mini --workers 2": "did you mean --jobs?",
    "plan mini --gpu h100": "did you mean --on?",
    "generate --count 5": "did you mean --num?",
    "verify x --fmt csv": "",
    "sql --fmt csv": "did you mean --format?",
    "gc --dry-run": "",
    "gc --force": "did you mean --yes?",
    "import x --force": "did you mean --replace?",
    "run mini --no-deep": "did you mean --deep?",
    "run mini --Jbos 3": "did you mean --jobs?",
}


@pytest.mark.parametrize("words", NEAR)
def test_the_dashes_that_all_options_have_make_none_near_and_other_programs_words_are_understood(capsys, words):
    lines = refused(capsys, *words.split())
    assert lines[1:-1] == [NEAR[words]] * bool(NEAR[words])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_with_a_type_refuses_a_wrong_value_by_name(capsys, name):
    hints = get_type_hints(COMMANDS[name].callback)
    for option in valued(COMMANDS[name]):
        longest = max(option.opts, key=len)
        kinds = get_args(hints[option.name]) or (hints[option.name],)
        if any(kind in (int, float) or (isinstance(kind, type) and issubclass(kind, StrEnum)) for kind in kinds):
            (line, _) = refused(capsys, name, longest, "wrong.word", *required(COMMANDS[name]))
            assert longest in line
            assert line.endswith("got 'wrong.word'")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_that_takes_a_value_refuses_to_stand_without_and_every_flag_with_one(capsys, name):
    for option in options_of(COMMANDS[name]):
        longest = max(option.opts, key=len)
        words = [f"{longest}=3"] if option.is_flag else [longest]
        assert longest in refused(capsys, name, *words)[0]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_missing_argument_is_named_and_a_superfluous_one_refused(capsys, name):
    command = COMMANDS[name]
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    if any(parameter.required for parameter in command.params):
        assert "must be given, got nothing" in refused(capsys, name)[0]
    if not any(parameter.nargs == -1 for parameter in arguments):
        optional = sum(not argument.required for argument in arguments)
        assert "got also" in refused(capsys, name, *required(command), *["y"] * (optional + 1))[0]


@pytest.mark.parametrize("name", COMMANDS)
def test_an_empty_word_is_refused_since_an_empty_path_would_be_the_working_folder(capsys, name):
    assert "unset" in refused(capsys, name, "")[0]
    for option in valued(COMMANDS[name]):
        longest = max(option.opts, key=len)
        assert "every word of the command must hold something" in refused(capsys, name, longest, "")[0]
        assert f"{longest}=" in refused(capsys, name, f"{longest}=")[0]


def test_ports_are_ports(capsys):
    for option in ("--port", "--mlflow-port"):
        for port in ("0", "-1", "65536"):
            assert refused(capsys, "ui", option, port)[0].startswith(f"igsm ui: {option} must be ")


def test_a_link_to_itself_is_told_and_no_bug(capsys, tmp_path, monkeypatch):
    (tmp_path / "loop").symlink_to("loop")
    assert "leads to itself" in refused(capsys, "init", str(tmp_path / "loop"))[0]
    monkeypatch.setenv("IGSM_HOME", str(tmp_path / "loop"))
    assert "leads to itself" in refused(capsys, "status")[0]


def test_a_family_file_of_a_thousand_levels_is_refused(capsys, tmp_path):
    (tmp_path / "deep.yaml").write_text("[" * 3000 + "]" * 3000)
    (tmp_path / "number.yaml").write_text("3")
    assert "must be a YAML file" in refused(capsys, "show", "--family", str(tmp_path / "deep.yaml"))[0]
    assert "number.yaml must hold" in refused(capsys, "show", "--family", str(tmp_path / "number.yaml"))[0]


def test_a_refusal_shows_what_came_and_not_pictures_for_it(capsys, tmp_path):
    (tmp_path / "users.txt").write_text("root:x:0:0::smile:\n")
    assert ":x:0:0::smile:" in refused(capsys, "verify", str(tmp_path / "users.txt"))[0]


def test_an_output_where_the_system_takes_no_file_is_refused_by_its_own_name(capsys):
    assert "got '/proc/x.jsonl'" in refused(capsys, "generate", "--out", "/proc/x.jsonl")[0]


def test_an_unknown_command_is_answered_with_the_nearest_and_a_bare_call_with_where_to_look(capsys):
    assert refused(capsys, "statsu")[1] == "did you mean status?"
    assert refused(capsys, "frobnicate")[0] == "igsm: command must be one that there is, got 'frobnicate'"
    assert refused(capsys)[0] == "igsm: command must be given, got nothing"


def test_an_unknown_member_is_answered_with_the_nearest_names_and_not_with_all(capsys):
    lines = refused(capsys, "plan", "mni")
    assert "did you mean mini" in lines[0]
    assert "`igsm status` lists all" in lines[1]
    assert "med_pq" not in " ".join(lines)
    assert "did you mean world?" in refused(capsys, "plan", "mini", "--stage", "wrld")[0]


def test_the_version_and_json_and_quiet(capsys, monkeypatch, tmp_path):
    assert run("--version") == 0
    assert capsys.readouterr().out.startswith("igsm ")
    assert run("plan", "mini", "--json") == 0
    (plan,) = json.loads(capsys.readouterr().out)
    assert (plan["member"], plan["fresh"], {unit["fresh"] for unit in plan["units"]}) == ("mini", False, {False})
    assert plan["cost"].keys() == {unit["stage"] for unit in plan["units"]}
    assert run("plan", "mini", "--json") == 0
    assert "refused" not in json.loads(capsys.readouterr().out)[0]
    assert run("status", "--json") == 0
    assert "mini" in {member["member"] for member in json.loads(capsys.readouterr().out)["members"]}
    assert run("doctor", "--json") in (0, 1)
    assert {finding["what"] for finding in json.loads(capsys.readouterr().out)} >= {"Python", "data root"}
    monkeypatch.setenv(QUIET, "0")
    monkeypatch.setenv("TQDM_DISABLE", "0")
    assert library(["run", "mini", "--stage", "world"]) == 0
    capsys.readouterr()
    assert run("export", "mini", "--out", str(tmp_path / "one.tar")) == 0
    assert "1 units in" in capsys.readouterr().err
    assert run("-q", "export", "mini", "--out", str(tmp_path / "two.tar")) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (PermissionError(13, "Permission denied", "/root/x"), "/root/x must be open to you, got 'Permission denied'"),
        (FileNotFoundError(2, "No such file or directory", "/nope"), "/nope must exist"),
        (IsADirectoryError(21, "Is a directory", "/tmp"), "/tmp must be a file that can be opened"),
        (UnicodeDecodeError("utf-8", b"a\xff", 1, 2, "invalid"), "text must be UTF-8, got the byte 0xff at position 1"),
        (MemoryError("8 GiB"), "memory must suffice"),
        (ModuleNotFoundError("No module named 'ray'", name="ray"), "`pip install ray`"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_a_user_can_mend_is_told_in_a_line(error, told):
    assert told in border.refusal(error)


def test_errors_of_libraries_about_files_and_values_are_told_and_bugs_are_not(tmp_path):
    import duckdb  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415
    import yaml  # noqa: PLC0415

    (tmp_path / "x").write_bytes(b"no parquet")
    for call in (lambda: duckdb.connect(str(tmp_path / "x")), lambda: pq.read_table(tmp_path / "x"), lambda: yaml.safe_load("a: [")):
        with pytest.raises(Exception) as caught:  # noqa: PT011  (three libraries' own)
            call()
        assert len(border.refusal(caught.value).splitlines()) == 2
    assert border.refusal(KeyError("a bug")) is None
    assert border.refusal(ModuleNotFoundError("ours", name="igsm_pipeline.nowhere")) is None


def test_a_bug_shows_where_it_is_and_asks_to_be_reported(capsys):
    def broken() -> int:
        raise KeyError("a bug")

    assert border.finish(broken, ["run", "my member"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("Traceback")
    assert lines[-1].startswith("This is a bug of igsm_pipeline")
    assert "igsm run 'my member'" in lines[-1]


def test_what_breaks_because_of_a_stop_is_told_as_the_stop(capsys, monkeypatch):
    def broken() -> int:
        raise OSError("the pipe of a worker that was ended")

    monkeypatch.setattr(border, "heard_stop", lambda: 15)
    assert border.finish(broken, ["generate"]) == 143
    assert capsys.readouterr().err == "stopped by SIGTERM; what was finished is kept, a half-written file is not\n"


def command(tmp_path: Path, *words: str, **more: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "IGSM_HOME": str(tmp_path / "home"), **more}
    line = (sys.executable, "-m", "igsm_pipeline.cli", *words)
    return subprocess.Popen(line, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


PLAIN_C = {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize("language", [{"PYTHONIOENCODING": "ascii"}, PLAIN_C], ids=["ascii", "C"])
def test_an_output_of_any_encoding_is_written(tmp_path, language):
    for words in (("plan", "mini"), ("show", "--op", "3"), ("status",)):
        with command(tmp_path, *words, **language) as process:
            out, err = process.communicate()
        assert (process.returncode, err) == (0, b"")
        assert out.isascii()


TALKATIVE = """
import typer
from igsm_pipeline.cli import border
border._invoke = lambda words: sum(typer.echo("x" * 10_000) or 0 for _ in range(900))
border.main([])
"""


BARS = """
import os, sys
from igsm_pipeline.cli import main
sys.argv = ["igsm", "--version"]
try:
    main()
finally:
    print(os.environ.get("TQDM_DISABLE"))
"""


@pytest.mark.parametrize("terminal", [False, True])
def test_bars_of_other_libraries_are_for_terminals(terminal):
    ours, theirs = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name != "TQDM_DISABLE"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", BARS], env=environment, stdout=subprocess.PIPE, stderr=theirs if terminal else subprocess.PIPE, check=False
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.stdout.decode().splitlines()[-1] == ("None" if terminal else "1")


def test_a_reader_that_goes_away_is_not_an_error_to_tell():
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", TALKATIVE], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.wait() == 141
        assert process.stderr.read() == b""


def test_suggestions_are_near_and_few():
    assert did_you_mean("mni", ["mini", "med_pq", "hard"]) == "did you mean mini?"
    assert did_you_mean("MINI", ["mini"]) == "did you mean mini?"
    assert did_you_mean("med", ["med_pq", "med_pqa", "mini", "med_x", "med_y"]).count("med_") <= 3
    assert did_you_mean("zzz", ["mini"]) == ""


@pytest.mark.parametrize("days", ["inf", "1e12", "nan", "-1"])
def test_days_that_no_calendar_has_are_refused(capsys, days):
    assert "--runs" in refused(capsys, "gc", "--runs", days)[0]


def test_a_folder_has_no_page_of_a_member_and_a_member_without_results_nothing_to_give_away(capsys, tmp_path):
    assert "open its report.html" in " ".join(refused(capsys, "play", str(tmp_path), "--page", str(tmp_path / "x.html")))
    assert "MEMBER must have verdicts" in " ".join(refused(capsys, "report", "mini", "--claims"))
    assert "none of the units that were asked for is finished" in " ".join(refused(capsys, "export", "mini", "--out", str(tmp_path / "x.tar")))


def test_a_key_that_no_row_has_is_named_with_the_keys_that_there_are(capsys, tmp_path):
    (tmp_path / "rows.jsonl").write_text(json.dumps({"problem": "x", "question": "y", "solution": "z"}) + "\n")
    assert run("verify", str(tmp_path / "rows.jsonl"), "--column", "problem=nokey") == 1
    assert "problem must be under the key nokey, as it was said, got ['problem', 'question', 'solution']" in capsys.readouterr().out


def test_what_a_run_would_refuse_has_a_code_of_its_own_in_json_too(capsys, home):
    (home / "experiments" / "mine.yaml").write_text("base: mini\nshards: {window: 32}\n")
    assert run("plan", "mine", "mini", "--json") == 2
    told = capsys.readouterr()
    mine, mini = json.loads(told.out)
    assert "shards.window must hold a training problem with its solution" in mine["refused"]
    assert mine["refused"] in told.err
    assert "refused" not in mini
