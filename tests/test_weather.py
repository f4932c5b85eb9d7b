"""No test reads the weather: each session that a test starts is given it, and no file of tests asks for the real one."""

import ast
import re
from pathlib import Path

import pytest

GIVEN = """
import os
import time

import weather
from pytest_ftcompare.plugin import benchmark_bridge
from pytest_ftcompare.measure import cpu_contention, host

def test_given(benchmark):
    assert (os.cpu_count(), host.cpus()) == (weather.CORES, weather.CORES)
    assert host.total_memory() == host.available_memory() == weather.MEMORY
    account = cpu_contention.account()
    assert (account.waited, account.stolen) == (0.0, 0.0)
    if benchmark_bridge.active(benchmark):
        now = benchmark_bridge.timer(benchmark)
        assert -now() + now() == weather.TICK
"""


@pytest.mark.parametrize(
    ("arguments", "apart"),
    [
        ((), False),
        ((), True),
        (("-n2",), True),
        (("--benchmark-disable",), False),
        (("-p", "no:cacheprovider"), True),
    ],
)
def test_every_session_that_a_test_starts_has_its_weather_given(pytester, arguments, apart):
    pytester.makepyfile(GIVEN)
    run = pytester.runpytest_subprocess if apart else pytester.runpytest_inprocess
    run("-p", "pytest_ftcompare.plugin", *arguments).assert_outcomes(passed=1)


TESTS = Path(__file__).parent
CLOCKS = "time|sleep|monotonic|perf_counter|process_time|thread_time"
REAL = re.compile(
    rf"\btime\.(?:{CLOCKS})(?:_ns)?\b|\bfrom time import\b|\b(?:datetime|date)\.(?:now|utcnow|today)\b"
    r"|\bos\.(?:cpu_count|process_cpu_count|sched_getaffinity|getloadavg|times|sysconf)\b|\bpsutil\b"
    r"|/proc/(?:self/task|self/stat|self/sched|loadavg|stat|meminfo|pressure|cpuinfo)"
    r"|(?<!\w)(?:cpu_contention\.)?account\(\)"
)
LEAST = 120  # seconds of a timeout, which is there against a hang: no machine is so busy that a test waits for so long
# Files that may ask for real clocks and the real machine, or wait for less, and why.
MAY = {
    "test_weather.py": "names what others must not",
    "weather.py": "names the clock in whose place it gives another",
    "drawn.py": "looks until a line is drawn, and asserts nothing about how long that took",
    "faults/cost.py": "a fault that sleeps, for faults/timed.py",
    "faults/run.py": "a script, run by hand: dates its record",
    "faults/timed.py": "a benchmark script, run by hand on an idle machine: dates its record",
    "measure/test_lease.py": "its workers sleep so that they may overlap: only the order of events is asserted",
    "measure/test_cpu_contention.py": "the account is read from files that the test wrote",
}


def readings(text):
    """What a file's code, or code within its strings, reads of the real machine; and timeouts that a busy one would meet."""
    tree = ast.parse(text)
    strings = [
        one.value
        for one in ast.walk(tree)
        if isinstance(one, ast.Constant) and isinstance(one.value, str)
    ]
    found = [name for one in (ast.unparse(tree), *strings) for name in REAL.findall(one)]
    calls = [
        one
        for one in ast.walk(tree)
        if isinstance(one, ast.Call) and isinstance(one.func, ast.Attribute)
    ]
    waits = [one.args[0] for one in calls if one.func.attr in ("wait", "join") and one.args]
    waits += [one.value for call in calls for one in call.keywords if one.arg == "timeout"]
    short = [
        one.value
        for one in waits
        if isinstance(one, ast.Constant) and isinstance(one.value, (int, float))
    ]
    return [*found, *(f"waits for {one} s" for one in short if one < LEAST)]


@pytest.mark.parametrize(
    "file", sorted(TESTS.rglob("*.py")), ids=lambda one: str(one.relative_to(TESTS))
)
def test_no_file_of_tests_reads_the_real_clock_load_or_cores(file):
    name = str(file.relative_to(TESTS))
    assert bool(readings(file.read_text())) <= (name in MAY), readings(file.read_text())


@pytest.mark.parametrize("name", MAY)
def test_no_file_has_leave_to_read_what_it_does_not(name):
    assert readings((TESTS / name).read_text())


@pytest.mark.parametrize(
    "text",
    [
        "import time\ntime.sleep(1)",
        "clock = time.perf_counter_ns",
        "from time import monotonic",
        "CODE = 'import time; began = time.time()'",
        "f'''{name}\\ntime.sleep({seconds})'''",
        "os.cpu_count()",
        "from datetime import datetime\ndatetime.now(UTC)",
        "Path('/proc/loadavg').read_text()",
        "assert account().waited == 0",
        "subprocess.run(command, timeout=30)",
        "assert reached.wait(0.5)",
    ],
)
def test_a_reading_of_the_real_machine_is_seen(text):
    assert readings(text)


@pytest.mark.parametrize(
    "text",
    [
        "import time\nstarted = time.struct_time",
        "monkeypatch.setattr(os, 'cpu_count', lambda: 64)",
        "files = {'proc/stat': 'cpu 1'}",
        "subprocess.run(command, timeout=300)",
        "', '.join(names)",
        "clock = iter([0.0, 1.0]).__next__",
    ],
)
def test_what_is_given_is_no_reading(text):
    assert not readings(text)
