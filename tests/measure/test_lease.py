"""Workers that share a device, as real processes: exclusive use, crashes, and no deadlocks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_ftcompare.measure.lease import Lease, lease_name

GUARD = 300  # seconds after which a worker is taken to hang
# It sleeps so that there is something to overlap; nothing that is asserted depends on how long.
WORKER = """
import os, sys, time
from pathlib import Path
from pytest_ftcompare.measure.lease import Lease

folder, name, windows, end = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
lease = Lease(folder, "cpu")
# Each line is appended at once, so the file has the order of the events.
log = open(folder / "log", "a", buffering=1)

def say(what):
    log.write(f"{name} {what}\\n")

with lease.shared():
    print("here", flush=True)
    sys.stdin.readline()
    for step in range(40):
        say("step begins"); time.sleep(0.002); say("step ends")
        lease.pause()
        if step % 10 == 5 and windows:
            with lease.exclusive():
                say("alone begins"); time.sleep(0.02)
                if end == "die":
                    os._exit(7)
                say("alone ends")
lease.close()
"""


def run(folder, workers):
    pipe = subprocess.PIPE
    commands = [
        [sys.executable, "-c", WORKER, str(folder), name, str(windows), end]
        for name, windows, end in workers
    ]
    started = [subprocess.Popen(one, stdin=pipe, stdout=pipe, text=True) for one in commands]
    assert [one.stdout.readline() for one in started] == ["here\n"] * len(workers)
    for one in started:
        one.stdin.write("go\n")
        one.stdin.flush()
    codes = [one.wait(timeout=GUARD) for one in started]
    for one in started:
        one.stdin.close()
        one.stdout.close()
    return codes, [line.split(" ", 1) for line in (folder / "log").read_text().splitlines()]


def overlaps(events):
    """Steps or windows that run while another worker is alone."""
    alone, stepping, found = None, set(), 0
    for name, what in events:
        if what == "alone begins":
            found += bool(stepping) or alone is not None
            alone = name
        elif what == "alone ends":
            alone = None
        elif what == "step begins":
            found += alone is not None
            stepping.add(name)
        elif what == "step ends":
            stepping.discard(name)
    return found


def test_nobody_works_while_a_worker_is_exclusive_and_all_finish(tmp_path):
    codes, events = run(tmp_path, [("a", 1, ""), ("b", 1, ""), ("c", 0, "")])
    assert codes == [0, 0, 0]
    assert sum(what == "alone begins" for _, what in events) == 8
    assert sum(what == "step ends" for _, what in events) == 120
    assert overlaps(events) == 0


def test_a_worker_that_dies_in_exclusive_use_frees_the_device(tmp_path):
    codes, events = run(tmp_path, [("a", 1, "die"), ("b", 0, ""), ("c", 1, "")])
    assert codes == [7, 0, 0]
    assert sum(what == "step ends" for name, what in events if name != "a") == 80
    assert overlaps([one for one in events if one[0] != "a"]) == 0


def test_work_goes_on_after_an_error_in_exclusive_use(tmp_path):
    lease = Lease(tmp_path, "cpu")
    with lease.shared():
        with pytest.raises(ZeroDivisionError), lease.exclusive():
            raise ZeroDivisionError
        lease.pause()
        with lease.exclusive():
            pass
    assert not (tmp_path / "cpu.wanted").exists()
    lease.close()


def test_workers_with_the_same_gpus_share_a_name_and_others_do_not():
    assert lease_name("cpu", {"CUDA_VISIBLE_DEVICES": "1"}) == "cpu"
    assert lease_name("auto", {}) == lease_name("cuda", {})
    names = [
        lease_name("cuda", {"CUDA_VISIBLE_DEVICES": one}) for one in ("0", "1", "GPU-12/3", "")
    ]
    assert len(set(names)) == 4
    assert all(Path(name).name == name and os.sep not in name for name in names)
