"""Check that no test reads the weather (see weather.py), and that sessions get the fake one."""

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
    account = cpu_contention.cpu_accounting()
    assert (account.waited, account.stolen) == (0.0, 0.0)
    if benchmark_bridge.is_active(benchmark):
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
    rf"\btime\.(?:{CLOCKS})(?:_ns)?\b|\bfrom time import\b"
    r"|\b(?:datetime|date)\.(?:now|utcnow|today)\b|\bpsutil\b"
    r"|\bos\.(?:cpu_count|process_cpu_count|sched_getaffinity|getloadavg|times|sysconf)\b"
    r"|/proc/(?:self/task|self/stat|self/sched|loadavg|stat|meminfo|pressure|cpuinfo)"
    r"|(?<!\w)(?:cpu_contention\.)?cpu_accounting\(\)"
)
# Least seconds of a timeout against hangs; chosen, longer than a test waits on a busy machine.
LEAST = 120
# Files that may read real clocks and the real machine, or have shorter timeouts, and why.
MAY = {
    "test_weather.py": "names what others must not use",
    "weather.py": "names the clock that it replaces",
    "drawn.py": "waits until a line is drawn, and asserts nothing about the time",
    "faults/cost.py": "a fault that sleeps, for faults/timed.py",
    "faults/run.py": "a script, run by hand: dates its record",
    "faults/timed.py": "a benchmark script, run by hand on an idle machine: dates its record",
    "nightly/__main__.py": "a script, run by hand: prints the seconds of each night",
    "measure/test_lease.py": "its workers sleep so that they overlap; it asserts the order only",
    "measure/test_cpu_contention.py": "reads the accounting from files that the test wrote",
}


def readings(text):
    """Return what a file's code and strings read of the real machine, and short timeouts."""
    tree = ast.parse(text)
    strings = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    names = [name for text in (ast.unparse(tree), *strings) for name in REAL.findall(text)]
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]
    waits = [call.args[0] for call in calls if call.func.attr in ("wait", "join") and call.args]
    waits += [
        keyword.value for call in calls for keyword in call.keywords if keyword.arg == "timeout"
    ]
    timeouts = [
        node.value
        for node in waits
        if isinstance(node, ast.Constant) and isinstance(node.value, (int, float))
    ]
    return [*names, *(f"waits for {seconds} s" for seconds in timeouts if seconds < LEAST)]


@pytest.mark.parametrize(
    "file", sorted(TESTS.rglob("*.py")), ids=lambda path: str(path.relative_to(TESTS))
)
def test_no_file_of_tests_reads_the_real_clock_load_or_cores(file):
    name = str(file.relative_to(TESTS))
    assert bool(readings(file.read_text())) <= (name in MAY), readings(file.read_text())


@pytest.mark.parametrize("name", MAY)
def test_every_file_with_permission_needs_it(name):
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
        "assert cpu_accounting().waited == 0",
        "subprocess.run(command, timeout=30)",
        "assert reached.wait(0.5)",
    ],
)
def test_a_reading_of_the_real_machine_is_found(text):
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
def test_a_replaced_clock_is_no_reading(text):
    assert not readings(text)
