"""Children: what they say passes through, an interrupt reaches them once, and none outlives its parent."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from igsm_pipeline.errors import StageFailed
from igsm_pipeline.running.child import run_command, stop

PARENT = """
import sys
from igsm_pipeline.running.child import run_command
run_command([sys.executable, "-c", "import os, sys, time; print(os.getpid(), file=sys.stderr, flush=True); time.sleep(60)"])
"""


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_standard_error_passes_through(capfd):
    run_command([sys.executable, "-c", "import sys; print('half way', file=sys.stderr)"])
    assert "half way" in capfd.readouterr().err


def test_the_last_line_of_a_failed_child_is_in_the_error():
    with pytest.raises(StageFailed, match="status 3: no such world"):
        run_command([sys.executable, "-c", "import sys; print('no such world', file=sys.stderr); sys.exit(3)"])


def test_an_interrupted_child_may_save_its_state(tmp_path):
    state, ready = tmp_path / "state", tmp_path / "ready"
    code = (
        f"import time\ntry:\n    open({str(ready)!r}, 'w'); time.sleep(60)\nexcept KeyboardInterrupt:\n    open({str(state)!r}, 'w').write('saved')\n"
    )

    def interrupt():
        if ready.exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_command([sys.executable, "-c", code], on_tick=interrupt, tick_s=0.1)
    assert state.read_text() == "saved"


def test_a_child_that_ignores_the_interrupt_is_killed():
    code = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as child:
        assert child.stdout.readline() == b"ready\n"
        stop(child, grace_s=0.3)
        assert child.returncode == -signal.SIGKILL


@pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal is Linux's")
def test_a_child_dies_with_its_killed_parent():
    with subprocess.Popen([sys.executable, "-c", PARENT], stderr=subprocess.PIPE, text=True) as parent:
        child = int(parent.stderr.readline())
        assert alive(child)
        parent.kill()
        parent.wait()
        deadline = time.monotonic() + 10
        while alive(child) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not alive(child)
