"""What the machine, or the container, leaves to this process: cores and memory, and which processes are its fellow workers."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

ROOT = Path("/")
LIMITS = ("memory.max", "memory.limit_in_bytes")  # of a control group, by version


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")  # a process may call itself anything
    except OSError:  # another system, another version of control groups, or no permission
        return ""


def _number(text: str) -> int | None:
    """None for "max" too, which is no limit."""
    return int(text) if text.strip().isdigit() else None


def _fields(text: str) -> dict[str, int]:
    """The first number behind each name."""
    rows = [line.replace(":", " ").split() for line in text.splitlines()]
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdigit()}


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Folders of this process's control group and of those above it: the tightest limit counts."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        top = root / "sys/fs/cgroup"
        if controllers:  # version 1 has a tree for each controller
            if controller not in controllers.split(","):
                continue
            top /= controller
        own = top / path.strip().lstrip("/")
        yield from (one for one in (own, *own.parents) if one.is_relative_to(top))


def available_memory(root: Path = ROOT) -> int:
    """Bytes that may still be taken without swapping: the machine's, or what its control groups leave; 0 where none can say.

    What a group's limit counts but the kernel would drop (files read once) is left.
    """
    found = _fields(_text(root / "proc/meminfo")).get("MemAvailable")
    left = [found * 1024 if found is not None else _all_memory()]
    for folder in _groups(root, "memory"):
        names = ("memory.max", "memory.current", "inactive_file")
        if not (folder / names[0]).exists():
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        limit, used = (_number(_text(folder / name)) for name in names[:2])
        if limit is not None and used is not None:
            left.append(
                max(0, limit - used + _fields(_text(folder / "memory.stat")).get(names[2], 0))
            )
    return min(left)


def memory(root: Path = ROOT) -> int:
    """Bytes of the machine, or what its control groups allow; 0 where none can say."""
    limits = [
        _number(_text(folder / name)) for folder in _groups(root, "memory") for name in LIMITS
    ]
    return min([_all_memory(), *(one for one in limits if one is not None)])


def _all_memory() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return 0


def cpus(root: Path = ROOT) -> int:
    """Cores that this process may use: its affinity, or whole cores of its control groups' quota; at least 1."""
    found = [
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    ]
    for folder in _groups(root, "cpu"):
        quota, period = (*_text(folder / "cpu.max").split(), "", "")[:2]
        if not quota:
            quota, period = _text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")
        if (share := _number(quota)) and (time := _number(period)):
            found.append(share // time)
    return max(1, min(found))


def sibling_pids(environ: Mapping[str, str], root: Path = ROOT) -> set[int]:
    """Process ids of this run's xdist workers: the children of the controller, which started this one; none without xdist."""
    if "PYTEST_XDIST_WORKER" not in environ:
        return set()
    found = set()
    for file in root.glob("proc/[0-9]*/stat"):
        rest = _text(file).rpartition(")")[2].split()  # the name before it may hold anything
        if rest[1:2] == [str(os.getppid())]:
            found.add(int(file.parent.name))
    return found


@cache
def processor() -> str:
    """The processor's name, as the system has it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        fields = dict(line.split(":", 1) for line in lines if ":" in line)
        found = {key.strip(): value.strip() for key, value in fields.items()}
        return (
            " ".join(found[key] for key in ("model name", "cpu family", "model") if key in found)
            or platform.machine()
        )
    except (OSError, ValueError):
        return platform.processor() or platform.machine()
