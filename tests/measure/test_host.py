"""Memory, cores and sibling workers of a process, on machines and containers made of files."""

import os

import pytest

from pytest_ftcompare.measure.host import available_memory, cpus, is_of_session

GIB = 2**30
MEMORY = "sys/fs/cgroup/memory/box"  # version 1


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Return the root of a machine with 16 cores, and a function that writes its files."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)

    def lay_out(**files):
        for name, text in files.items():
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return tmp_path

    return lay_out


def meminfo(gib):
    return {
        "proc/meminfo": f"MemTotal: {64 * GIB // 1024} kB\nMemFree: 1 kB\n"
        f"MemAvailable:   {gib * GIB // 1024} kB\n"
    }


def second(path, **files):
    """Return files of a version 2 control group; two underscores in a name stand for a dot."""
    named = {f"sys/fs/cgroup{path}/{name.replace('__', '.')}": text for name, text in files.items()}
    return {"proc/self/cgroup": f"0::{path or '/'}\n"} | named


def test_without_a_container_the_kernel_reports_the_available_memory(machine):
    assert available_memory(machine(**meminfo(48))) == 48 * GIB


def test_a_containers_limit_counts_where_it_is_lower(machine):
    box = second("", memory__max=str(8 * GIB), memory__current=str(3 * GIB))
    assert available_memory(machine(**meminfo(48), **box)) == 5 * GIB
    assert available_memory(machine(**meminfo(2), **box)) == 2 * GIB


def test_files_that_the_kernel_would_drop_are_left_to_the_container(machine):
    stat = f"anon 12\nfile {3 * GIB}\ninactive_file {2 * GIB}\n"
    box = second("", memory__max=str(8 * GIB), memory__current=str(3 * GIB), memory__stat=stat)
    assert available_memory(machine(**meminfo(48), **box)) == 7 * GIB


def test_a_limit_of_a_group_above_counts_too(machine):
    own = second("/user/job", memory__max="max", memory__current="5")
    above = second("/user", memory__max=str(4 * GIB), memory__current=str(1 * GIB))
    assert available_memory(machine(**meminfo(48), **above | own)) == 3 * GIB


def test_a_container_over_its_limit_has_nothing_left(machine):
    box = second("", memory__max="100", memory__current="300")
    assert available_memory(machine(**meminfo(48), **box)) == 0


def test_no_limit_is_no_limit(machine):
    box = second("", memory__max="max", memory__current="300", cpu__max="max 100000")
    root = machine(**meminfo(48), **box)
    assert (available_memory(root), cpus(root)) == (48 * GIB, 16)


def test_control_groups_of_the_first_version_are_read(machine):
    root = machine(
        **meminfo(48),
        **{
            "proc/self/cgroup": "5:cpu,cpuacct:/box\n4:memory:/box\n1:name=systemd:/other\n0::/\n",
            f"{MEMORY}/memory.limit_in_bytes": str(8 * GIB),
            f"{MEMORY}/memory.usage_in_bytes": str(3 * GIB),
            f"{MEMORY}/memory.stat": f"inactive_file 1\ntotal_inactive_file {1 * GIB}\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": str(30 * GIB),
            "sys/fs/cgroup/memory/other/memory.limit_in_bytes": "7",
            "sys/fs/cgroup/memory/other/memory.usage_in_bytes": "0",
            "sys/fs/cgroup/cpu/box/cpu.cfs_quota_us": "350000",
            "sys/fs/cgroup/cpu/box/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        },
    )
    assert (available_memory(root), cpus(root)) == (6 * GIB, 3)


def test_a_machine_without_proc_reports_all_its_memory(machine, monkeypatch):
    monkeypatch.setattr(
        os, "sysconf", {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}.__getitem__, raising=False
    )
    assert available_memory(machine()) == 4_096_000


def test_a_machine_that_reports_nothing_has_0_memory(machine, monkeypatch):
    monkeypatch.delattr(os, "sysconf", raising=False)
    assert available_memory(machine()) == 0


def test_cores_are_those_of_the_affinity_or_whole_ones_of_the_quota(machine):
    assert cpus(machine()) == 16
    assert cpus(machine(**second("", cpu__max="250000 100000"))) == 2
    assert cpus(machine(**second("", cpu__max="50000 100000"))) == 1
    assert cpus(machine(**second("", cpu__max="9900000 100000"))) == 16


def test_a_quota_of_a_group_above_counts_too(machine):
    files = second("/user", cpu__max="200000 100000") | second("/user/job", cpu__max="max 100000")
    assert cpus(machine(**files)) == 2


def test_a_machine_without_affinity_has_all_its_cores(machine, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 10)
    assert cpus(machine()) == 10
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cpus(machine()) == 1


@pytest.fixture
def processes(machine):
    """Processes: this one and a worker beside it, each with one that it started; and another."""
    me, controller = os.getpid(), os.getppid()
    parents = {me: controller, 21: controller, 31: me, 32: 21, 33: 31, 41: 1}
    files = {f"proc/{pid}/stat": f"{pid} (a (b) c) S {up} 1 1 0" for pid, up in parents.items()}
    # It ended while it was read.
    return machine(**files, **{"proc/51/stat": ""})


def of_session(environ, root):
    """Return which of the processes are of the session, without this one and its parent."""
    pids = (21, 31, 32, 33, 41, 51, 61)
    return {pid for pid in pids if is_of_session(pid, environ, root)}


def test_a_session_without_workers_is_a_process_and_what_it_started(processes):
    assert is_of_session(os.getpid(), {}, processes)
    assert of_session({}, processes) == {31, 33}


def test_workers_and_what_they_started_are_of_one_session(processes):
    assert of_session({"PYTEST_XDIST_WORKER": "gw0"}, processes) == {21, 31, 32, 33}


def test_what_a_worker_started_belongs_to_its_session(processes):
    environ = {"PYTEST_XDIST_WORKER": "gw0", "FTCOMPARE_SESSION": "21"}
    assert of_session(environ, processes) == {21, 32, 31, 33}
