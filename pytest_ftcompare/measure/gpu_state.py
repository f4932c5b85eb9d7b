"""A GPU's state before and after a reading, and the verdict whether something disturbed what was read between them."""

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
# What is wrong with a card. One at its power limit is at work; another limit than the baseline's is the comparison's to say.
SLOWING = ("hw slowdown", "sw thermal", "hw thermal", "hw power brake")
SHARE = (
    0.01  # of the time between two states: a throttle shorter than this moves no median over rounds
)


@dataclass(frozen=True)
class GpuState:
    """What the GPU said at one moment; None where this card, driver or container cannot say."""

    taken: float  # seconds, monotonic
    lost: bool = False  # fallen off the bus: nothing more can be read
    driver: str | None = None
    sm_clock: int | None = None  # MHz
    max_sm_clock: int | None = None  # MHz
    memory_clock: int | None = None  # MHz
    reasons: tuple[str, ...] | None = None  # why the clocks are what they are, words of REASONS
    slowed: dict[str, int] = field(
        default_factory=dict
    )  # word of SLOWING -> nanoseconds slowed since the driver started
    power_limit: float | None = None  # W
    default_power_limit: float | None = None  # W
    temperature: int | None = None  # degrees Celsius
    ecc_errors: int | None = None  # uncorrected, since the driver started
    performance_state: int | None = None  # 0 is the fastest
    processes: int | None = None  # compute processes on the device, one's own among them
    others: tuple[int, ...] | None = (
        None  # their process ids without one's own; None also where one's own is not seen
    )


def reason_words(bits: int) -> tuple[str, ...]:
    """NVML's bit mask of clock event reasons as words; a bit that this version does not know is left out."""
    return tuple(word for bit, word in REASONS.items() if bits & bit)


def slowed_by(before: GpuState, after: GpuState) -> tuple[str, ...]:
    """What held the clocks down: in force at either state, or, where the card counts it, for over 1 % of the time between."""
    at_either = {*(before.reasons or ()), *(after.reasons or ())}
    enough = SHARE * (after.taken - before.taken) * 1e9
    return tuple(
        word
        for word in SLOWING
        if word in at_either
        or after.slowed.get(word, 0) - before.slowed.get(word, after.slowed.get(word, 0)) > enough
    )


def disturbed(before: GpuState, after: GpuState) -> str:
    """Why a reading taken between the two states must not be judged, in words for humans; "" when nothing speaks against it."""
    if before.lost or after.lost:
        return "the GPU is lost"
    found = []
    if words := slowed_by(before, after):
        found.append(f"the GPU was throttled ({', '.join(words)})")
    if before.power_limit != after.power_limit:
        found.append(
            f"the GPU's power limit went from {before.power_limit} W to {after.power_limit} W"
        )
    if (
        before.ecc_errors is not None
        and after.ecc_errors is not None
        and after.ecc_errors > before.ecc_errors
    ):
        found.append(
            f"the GPU's uncorrected memory errors went from {before.ecc_errors} to {after.ecc_errors}"
        )
    if others := sorted({*(before.others or ()), *(after.others or ())}):
        found.append(f"another process used the GPU ({', '.join(f'pid {one}' for one in others)})")
    elif (
        (after.processes or 0) > (before.processes or 0)
        and after.others is None
        and before.processes is not None
    ):
        found.append(
            f"another process came to the GPU ({before.processes} before, {after.processes} after)"
        )
    return "; ".join(found)


def joules(before: int | None, after: int | None) -> float | None:
    """Energy between two readings of the counter in millijoules; None without both, or when the counter started anew."""
    if before is None or after is None or after < before:
        return None
    return (after - before) / 1000
