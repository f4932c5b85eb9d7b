"""Describe a GPU's state at one moment, and what disturbed a reading between two states.

`nvml.py` makes the states; `gpu_readings.py` compares them around a timed window.
"""

from __future__ import annotations

from dataclasses import dataclass, field

# Bits of NVML's clock event reasons (nvml.h, nvmlClocksEventReason*), in its order.
REASONS = {
    0x001: "idle",
    0x002: "application clocks",
    0x004: "sw power cap",
    0x008: "hw slowdown",
    0x010: "sync boost",
    0x020: "sw thermal",
    0x040: "hw thermal",
    0x080: "hw power brake",
    0x100: "display",
    0x200: "board limit",
    0x400: "reliability",
}
# Reasons that mean a fault of the card. A power cap is normal under load and does not count; the
# comparison with the baseline checks the power limit itself.
THROTTLE_REASONS = ("hw slowdown", "sw thermal", "hw thermal", "hw power brake")
# Share of the time between two states; chosen: a shorter throttle does not move a median over
# rounds. Raising it lets windows with longer throttles be judged.
MIN_THROTTLED_SHARE = 0.01


@dataclass(frozen=True)
class GpuState:
    """What the GPU reported at one moment; None if the card, driver or container cannot tell."""

    taken_at: float  # seconds, monotonic
    lost: bool = False  # fallen off the bus: nothing more can be read
    driver: str | None = None
    sm_clock: int | None = None  # MHz
    max_sm_clock: int | None = None  # MHz
    memory_clock: int | None = None  # MHz
    reasons: tuple[str, ...] | None = None  # reasons for the clocks, words of REASONS
    # Word of THROTTLE_REASONS -> nanoseconds throttled since the driver started.
    throttled_ns: dict[str, int] = field(default_factory=dict)
    power_limit: float | None = None  # W
    default_power_limit: float | None = None  # W
    temperature: int | None = None  # degrees Celsius
    ecc_errors: int | None = None  # uncorrected, since the driver started
    performance_state: int | None = None  # 0 is the fastest
    processes: int | None = None  # compute processes on the device, this one included
    # Process ids of other compute processes; None also if the driver does not list this process.
    others: tuple[int, ...] | None = None


def reason_words(bits: int) -> tuple[str, ...]:
    """Return NVML's bit mask of clock event reasons as words, without unknown bits."""
    return tuple(word for bit, word in REASONS.items() if bits & bit)


def throttled_by(before: GpuState, after: GpuState) -> tuple[str, ...]:
    """Return the reasons in force at either state, or counted for over 1 % of the time between."""
    at_either = {*(before.reasons or ()), *(after.reasons or ())}
    enough = MIN_THROTTLED_SHARE * (after.taken_at - before.taken_at) * 1e9
    return tuple(
        word
        for word in THROTTLE_REASONS
        if word in at_either
        or after.throttled_ns.get(word, 0)
        - before.throttled_ns.get(word, after.throttled_ns.get(word, 0))
        > enough
    )


def disturbed(before: GpuState, after: GpuState) -> str:
    """Return why a reading between the states must not be judged; "" if nothing is wrong."""
    if before.lost or after.lost:
        return "the GPU is lost"
    problems = []
    if words := throttled_by(before, after):
        problems.append(f"the GPU was throttled ({', '.join(words)})")
    if before.power_limit != after.power_limit:
        problems.append(
            f"the GPU's power limit went from {before.power_limit} W to {after.power_limit} W"
        )
    if (
        before.ecc_errors is not None
        and after.ecc_errors is not None
        and after.ecc_errors > before.ecc_errors
    ):
        problems.append(
            "the GPU's uncorrected memory errors went from "
            f"{before.ecc_errors} to {after.ecc_errors}"
        )
    if others := sorted({*(before.others or ()), *(after.others or ())}):
        problems.append(
            f"another process used the GPU ({', '.join(f'pid {pid}' for pid in others)})"
        )
    elif (
        (after.processes or 0) > (before.processes or 0)
        and after.others is None
        and before.processes is not None
    ):
        problems.append(
            f"another process came to the GPU ({before.processes} before, {after.processes} after)"
        )
    return "; ".join(problems)


def joules(before: int | None, after: int | None) -> float | None:
    """Return the energy between two counter readings in millijoules.

    None if a reading is missing, or if the counter was reset in between.
    """
    if before is None or after is None or after < before:
        return None
    return (after - before) / 1000
