"""Read the cores and memory that the machine or container leaves to this process.

Used to choose the number of workers, to skip cases that do not fit, and to describe the machine.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

ROOT = Path("/")
# Holds the id of a session's first process, for the processes that its workers start.
SESSION_VARIABLE = "FTCOMPARE_SESSION"
# Files with the memory limit of a control group, of version 2 and 1.
LIMIT_FILES = ("memory.max", "memory.limit_in_bytes")


def _text(file: Path) -> str:
    try:
        # A process's name may hold any bytes.
        return file.read_text(errors="replace")
    except OSError:  # another system or version of control groups, or no permission
        return ""


def _number(text: str) -> int | None:
    """Return the number, or None for other text such as "max", which means no limit."""
    return int(text) if text.strip().isdigit() else None


def _fields(text: str) -> dict[str, int]:
    """Return the first number after each name."""
    rows = [line.replace(":", " ").split() for line in text.splitlines()]
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdigit()}


def _control_groups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of this process's control group and its parents, all of which limit it."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        top = root / "sys/fs/cgroup"
        if controllers:  # version 1 has a tree for each controller
            if controller not in controllers.split(","):
                continue
            top /= controller
        group = top / path.strip().lstrip("/")
        yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(top))


def available_memory(root: Path = ROOT) -> int:
    """Return the bytes that can be allocated without swapping, by machine and control groups.

    0 if unknown. Cached files that the kernel would drop (`inactive_file`) count as available.
    """
    kibibytes = _fields(_text(root / "proc/meminfo")).get("MemAvailable")
    available = [kibibytes * 1024 if kibibytes is not None else _physical_memory()]
    for folder in _control_groups(root, "memory"):
        names = ("memory.max", "memory.current", "inactive_file")
        if not (folder / names[0]).exists():
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        limit, used = (_number(_text(folder / name)) for name in names[:2])
        if limit is not None and used is not None:
            available.append(
                max(0, limit - used + _fields(_text(folder / "memory.stat")).get(names[2], 0))
            )
    return min(available)


def total_memory(root: Path = ROOT) -> int:
    """Return the bytes of the machine, or the lowest control group limit; 0 if unknown."""
    limits = [
        _number(_text(folder / name))
        for folder in _control_groups(root, "memory")
        for name in LIMIT_FILES
    ]
    return min([_physical_memory(), *(limit for limit in limits if limit is not None)])


def _physical_memory() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return 0


def cpus(root: Path = ROOT) -> int:
    """Return the cores that this process may use, by affinity and control groups; at least 1.

    A quota counts as whole cores, rounded down.
    """
    limits = [
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    ]
    for folder in _control_groups(root, "cpu"):
        quota, period = (*_text(folder / "cpu.max").split(), "", "")[:2]
        if not quota:
            quota, period = _text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")
        if (share := _number(quota)) and (time := _number(period)):
            limits.append(share // time)
    return max(1, min(limits))


def session_root(environ: Mapping[str, str]) -> int:
    """Return the process id of the session that this process belongs to.

    It is in the environment of processes that a worker starts. For a worker of xdist it is the
    controller, for any other process the process itself.
    """
    if pid := environ.get(SESSION_VARIABLE):
        return int(pid)
    return os.getppid() if "PYTEST_XDIST_WORKER" in environ else os.getpid()


def is_of_session(pid: int, environ: Mapping[str, str], root: Path = ROOT) -> bool:
    """Return whether a process is of this session: its root, a worker, or what they started."""
    ours = {session_root(environ), os.getpid()}
    while pid > 1 and pid not in ours:
        # The process's name, in parentheses, may hold spaces and parentheses itself.
        rest = _text(root / "proc" / str(pid) / "stat").rpartition(")")[2].split()
        pid = int(rest[1]) if len(rest) > 1 else 0
    return pid in ours


@cache
def processor() -> str:
    """Return the processor's name, family and model, or else the platform's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        fields = dict(line.split(":", 1) for line in lines if ":" in line)
        named = {key.strip(): value.strip() for key, value in fields.items()}
        return (
            " ".join(named[key] for key in ("model name", "cpu family", "model") if key in named)
            or platform.machine()
        )
    except (OSError, ValueError):
        return platform.processor() or platform.machine()
