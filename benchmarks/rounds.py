"""Interleaved rounds: whatever else the machine does, it does to every contestant."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import psutil

Contestant = Callable[[], int]


@dataclass(frozen=True)
class Rate:
    """Medians over the rounds.

    Attributes:
        by_clock: Images a second.
        by_processor: Images a second of processor time, all processes together. Other work on the
            machine hardly changes it.
    """

    by_clock: float
    by_processor: float


def race(contestants: Mapping[str, Contestant], rounds: int) -> dict[str, Rate]:
    """Run all contestants in turn, after one round that does not count.

    Args:
        contestants: Each does its work once and returns how many images it went through.
        rounds: How often.

    Returns:
        The rates by contestant.
    """
    clock: dict[str, list[float]] = {name: [] for name in contestants}
    processor: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, run in contestants.items():
            start, used = time.perf_counter(), _processor_seconds()
            images = run()
            if number:
                clock[name].append(images / (time.perf_counter() - start))
                processor[name].append(images / (_processor_seconds() - used))
    return {
        name: Rate(statistics.median(clock[name]), statistics.median(processor[name]))
        for name in contestants
    }


def _processor_seconds() -> float:
    """Return what this process and its children have used."""
    this = psutil.Process()
    times = [process.cpu_times() for process in (this, *this.children(recursive=True))]
    return sum(item.user + item.system for item in times)


def print_ratios(rates: Mapping[str, Rate], ours: str) -> None:
    """Print a table of rates and of ours divided by each."""
    print("\n| | images/s | ratio of ours | images/s of processor time | ratio of ours |")
    print("|---|---|---|---|---|")
    for name, rate in rates.items():
        clock = rates[ours].by_clock / rate.by_clock
        processor = rates[ours].by_processor / rate.by_processor
        print(
            f"| {name} | {rate.by_clock:,.0f} | {clock:.2f} "
            f"| {rate.by_processor:,.0f} | {processor:.2f} |"
        )


def print_surroundings(*packages: str) -> None:
    """Print what the figures were measured on and beside."""
    from importlib.metadata import version

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    print(f"Python {platform.python_version()}, {versions}; {cores} cores, load before: {load}")
