"""Stop signals: the first one raises in the main thread and sets the exit code, a second one ends the process, and a block leaves no trace."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from igsm_pipeline.processes.stopping import (
    STOPS,
    Stopped,
    hear_stops,
    heard_stop,
    leave_stops_alone,
    remember_stops,
    stop_code,
    stopped_by,
)


def python(body: str, *, signals: tuple[int, ...] = (), apart_s: float = 0.6) -> tuple[int, str]:
    """Run a program that says ``ready``, send it signals, and give its exit code and all that it said."""
    # whoever runs the tests under nohup passes on that SIGHUP is ignored
    begin = "import signal\nsignal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
    command = [sys.executable, "-u", "-c", begin + textwrap.dedent(body)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        said = process.stdout.readline()
        assert said == "ready\n", said + process.stdout.read()
        time.sleep(0.3)  # it says so a moment before it waits
        for number in signals:
            process.send_signal(number)
            time.sleep(apart_s)
        said, _ = process.communicate(timeout=60)
    return process.returncode, said


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_the_exit_code_of_a_stop_names_its_signal(number, code):
    assert stop_code(number) == code
    assert stopped_by(code) == stopped_by(-number) == number


@pytest.mark.parametrize("code", [0, 1, 2, -signal.SIGKILL, 128 + signal.SIGKILL, 128 + signal.SIGSEGV])
def test_other_ends_are_no_stops(code):
    assert stopped_by(code) == 0


@pytest.mark.parametrize("number", STOPS, ids=lambda number: number.name)
def test_one_signal_raises_in_the_main_thread_and_is_remembered(number):
    code, said = python(
        """
        import sys, time
        from igsm_pipeline.processes.stopping import Stopped, hear_stops, heard_stop, leave, stop_code
        try:
            with hear_stops():
                print("ready")
                time.sleep(60)
        except Stopped as error:
            print("caught", error.args[0] if error.args else 0, heard_stop())
            leave(stop_code(heard_stop()))
        except KeyboardInterrupt:
            print("caught", 2, heard_stop())
            leave(stop_code(heard_stop()))
        """,
        signals=(number,),
    )
    assert code == stop_code(number)
    assert said.split()[0] == "caught"
    assert int(said.split()[2]) == number


def test_a_second_ctrl_c_ends_a_process_that_does_not_listen_to_the_first():
    started = time.monotonic()
    code, said = python(
        """
        import time
        from igsm_pipeline.processes import stopping
        with stopping.hear_stops(farewell=lambda number: f"farewell {number}"):
            stopping._hearing.patience_s = 50.0
            print("ready")
            while True:
                try:
                    time.sleep(60)
                except KeyboardInterrupt:
                    pass
        """,
        signals=(signal.SIGINT, signal.SIGINT),
    )
    assert (code, time.monotonic() - started < 30) == (130, True)
    assert said.count("farewell 2") == 1


def test_a_process_that_goes_on_after_one_signal_is_ended_when_its_patience_is_over():
    code, said = python(
        """
        import time
        from igsm_pipeline.processes import stopping
        stopping.PATIENCE_S = 0.5
        with stopping.hear_stops(farewell=lambda number: "it took too long"):
            stopping._hearing.patience_s = 0.5
            print("ready")
            while True:
                try:
                    time.sleep(60)
                except KeyboardInterrupt:
                    pass
        """,
        signals=(signal.SIGTERM,),
    )
    assert (code, said.count("it took too long")) == (143, 1)


def test_what_needs_longer_to_stop_gets_it_and_what_comes_after_does_not():
    body = """
        import signal, time
        from igsm_pipeline.processes import stopping
        stopping.PATIENCE_S = 1.0
        with stopping.hear_stops():
            stopping._hearing.patience_s = 1.0
            with stopping.with_patience(30.0):
                if LATER: pass
                else:
                    signal.signal(signal.SIGTERM, lambda *_: None)
                    print("ready")
                    for _ in range(40): time.sleep(0.1)
            signal.signal(signal.SIGTERM, lambda *_: None)
            if LATER: print("ready")
            for _ in range(40): time.sleep(0.1)
            print("ended by itself")
        """
    code, said = python(body.replace("LATER", "False"), signals=(signal.SIGTERM,))
    assert "ended by itself" in said
    code, said = python(body.replace("LATER", "True"), signals=(signal.SIGTERM,))
    assert (code, "ended by itself" in said) == (143, False)


def test_a_process_group_ends_with_the_process_that_was_told_twice():
    code, said = python(
        """
        import subprocess, time
        from igsm_pipeline.processes.stopping import ending_with, hear_stops
        child = subprocess.Popen(["sleep", "300"], start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with hear_stops(), ending_with(child.pid, 60.0):
            print("ready")
            while True:
                try:
                    time.sleep(60)
                except KeyboardInterrupt:
                    print(child.pid)
        """,
        signals=(signal.SIGINT, signal.SIGINT),
    )
    child = int(said.split()[0])
    assert code == 130
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and _lives(child):
        time.sleep(0.05)
    assert not _lives(child)


def test_a_second_signal_in_haste_does_not_break_off_what_cleans_up_after_the_first():
    code, said = python(
        """
        import time
        from igsm_pipeline.processes.stopping import hear_stops, heard_stop, leave, stop_code
        with hear_stops():
            try:
                print("ready")
                time.sleep(60)
            except KeyboardInterrupt:
                time.sleep(0.5)
                print("cleaned up")
                leave(stop_code(heard_stop()))
        """,
        signals=(signal.SIGINT, signal.SIGINT),
        apart_s=0.1,
    )
    assert (code, said) == (130, "cleaned up\n")


def test_half_written_files_go_with_a_process_that_has_to_end_at_once(tmp_path):
    code, _ = python(
        f"""
        import pathlib, time
        from igsm_pipeline.processes.stopping import hear_stops
        from igsm_pipeline.store import new_folder, written_whole
        here = pathlib.Path({str(tmp_path)!r})
        with hear_stops(), written_whole(here / "file") as half, new_folder(here / "folder", "--x") as partial:
            half.write_text("half")
            (partial / "file").write_text("half")
            print("ready")
            while True:
                try:
                    time.sleep(60)
                except KeyboardInterrupt:
                    pass
        """,
        signals=(signal.SIGINT, signal.SIGINT),
    )
    assert code == 130
    assert list(tmp_path.iterdir()) == []


def _lives(process: int) -> bool:
    try:
        with open(f"/proc/{process}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_block_without_a_signal_puts_the_handlers_back():
    before = [signal.getsignal(number) for number in STOPS]
    with hear_stops():
        assert [signal.getsignal(number) for number in STOPS] != before
        with hear_stops():  # one within another does nothing
            assert heard_stop() == 0
    assert [signal.getsignal(number) for number in STOPS] == before
    assert heard_stop() == 0


def test_beside_the_main_thread_nothing_is_heard():
    before, seen = [signal.getsignal(number) for number in STOPS], []

    def listen() -> None:
        with hear_stops():
            seen.append([signal.getsignal(number) for number in STOPS])

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert seen == [before]


def test_a_remembered_stop_raises_only_where_work_can_be_left():
    try:
        with hear_stops(), remember_stops() as request:
            os.kill(os.getpid(), signal.SIGTERM)
            assert request.signals == [signal.SIGTERM]
            assert heard_stop() == signal.SIGTERM
            with pytest.raises(Stopped), request.interrupting():
                raise AssertionError("a stop that came before must raise at once")
    finally:
        leave_stops_alone()
