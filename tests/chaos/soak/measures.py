"""Memory, descriptors and threads of a process over time, and whether they are flat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import psutil
from scipy.stats import theilslopes

MEBIBYTE = 2**20
GROWTH_SHARE = 0.02
GROWTH_FLOOR_BYTES = 2 * MEBIBYTE
"""Memory may grow by this share of itself, or by this much, over the measured part.

A process that keeps 100 bytes of each request exceeds that within 20,000 requests for each
100 MB that it has. What stays below are the allocator's own movements: glibc keeps an arena for
each thread, and gives pages back only when their neighbors are free too.
"""
COUNT_GROWTH = 2
"""Descriptors and threads come and go with connections; their usual number may not rise."""


@dataclass
class Series:
    """Samples of a process: seconds since the start, resident bytes, descriptors, threads."""

    name: str
    seconds: list[float] = field(default_factory=list)
    resident: list[int] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)

    def sample(self, process: psutil.Process, seconds: float) -> None:
        """Add a sample of the process now."""
        with process.oneshot():
            resident, threads = process.memory_info().rss, process.num_threads()
        self.add(seconds, resident, process.num_fds(), threads)

    def add(self, seconds: float, resident: int, descriptors: int, threads: int) -> None:
        """Add one sample."""
        self.seconds.append(seconds)
        self.resident.append(resident)
        self.descriptors.append(descriptors)
        self.threads.append(threads)


@dataclass(frozen=True)
class Finding:
    """The judgement of a series after the warm-up; growths are slopes times the measured time."""

    name: str
    samples: int
    resident_bytes: int
    growth_bytes: int
    limit_bytes: int
    growth_per_million_requests: int
    descriptors: tuple[int, int]
    threads: tuple[int, int]
    problems: tuple[str, ...]

    def line(self) -> str:
        """The finding as a line of text."""
        return (
            f"{self.name}: {self.resident_bytes / MEBIBYTE:.1f} MiB, "
            f"{self.growth_bytes / MEBIBYTE:+.2f} MiB (limit {self.limit_bytes / MEBIBYTE:.2f}), "
            f"{self.descriptors[0]} to {self.descriptors[1]} descriptors, "
            f"{self.threads[0]} to {self.threads[1]} threads"
        )

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def judge(series: Series, warm_up_seconds: float, requests: int) -> Finding:
    """Fit a line to the samples after the warm-up; `requests` were made in that time.

    The slope is the median of those between all pairs (Theil and Sen): one spike, or one
    step, is no trend.
    """
    seconds = np.array(series.seconds)
    kept = seconds >= warm_up_seconds
    span = float(np.ptp(seconds[kept]))
    resident = np.array(series.resident)[kept]
    slope = float(theilslopes(resident, seconds[kept]).slope)
    growth = round(slope * span)
    limit = max(GROWTH_FLOOR_BYTES, round(GROWTH_SHARE * float(np.median(resident))))
    problems = []
    if growth > limit:
        problems.append(f"{series.name}: grew by {growth} bytes, expected at most {limit}")
    ends = {}
    for kind in ("descriptors", "threads"):
        first, last = _ends(np.array(getattr(series, kind))[kept])
        ends[kind] = (first, last)
        if last > first + COUNT_GROWTH:
            problems.append(f"{series.name}: from {first} {kind} to {last}")
    return Finding(
        name=series.name,
        samples=int(kept.sum()),
        resident_bytes=int(np.median(resident)),
        growth_bytes=growth,
        limit_bytes=limit,
        growth_per_million_requests=round(growth * 1e6 / max(1, requests)),
        descriptors=ends["descriptors"],
        threads=ends["threads"],
        problems=tuple(problems),
    )


def plot(file: Path, series: Sequence[Series], warm_up_seconds: float) -> None:
    """Memory, descriptors and threads over time, each relative to the end of the warm-up."""
    # Only here: a run that is not drawn needs no plotting library.
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(10, 10), layout="constrained")
    rows = figure.subplots(3, 1, sharex=True)
    labels: Mapping[str, str] = {
        "resident": "MiB above the end of the warm-up",
        "descriptors": "descriptors",
        "threads": "threads",
    }
    for row, (kind, label) in zip(rows, labels.items(), strict=True):
        for process in series:
            values = np.array(getattr(process, kind), float)
            if kind == "resident":
                start = int(np.searchsorted(process.seconds, warm_up_seconds))
                values = (values - values[min(start, len(values) - 1)]) / MEBIBYTE
            row.plot(process.seconds, values, label=process.name, linewidth=1)
        row.axvline(warm_up_seconds, color="grey", linestyle=":")
        row.set_ylabel(label, fontsize=8)
    rows[0].legend(fontsize=7, ncols=2)
    rows[-1].set_xlabel("seconds")
    figure.savefig(file, dpi=120)


def _ends(counts: np.ndarray) -> tuple[int, int]:
    """The usual number in the first and in the last quarter."""
    quarter = max(1, len(counts) // 4)
    return int(np.median(counts[:quarter])), int(np.median(counts[-quarter:]))
