"""The limits of a pod, as the manifests state them, put on a process."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import yaml

CGROUPS = Path("/sys/fs/cgroup")
BASE = Path(__file__).parents[2] / "deploy/k8s/base"
MIB = 2**20
_UNITS = {"Mi": MIB, "Gi": 1024 * MIB}
_PERIOD_MICROSECONDS = 100_000


@dataclass(frozen=True)
class Limits:
    """Bytes of memory and processors of a pod."""

    memory_bytes: int
    processors: float

    @classmethod
    def of(cls, service: str) -> Limits:
        """The limits of the one container in the Deployment of a service."""
        manifest = yaml.safe_load((BASE / service / "deployment.yaml").read_text())
        (container,) = manifest["spec"]["template"]["spec"]["containers"]
        limits = container["resources"]["limits"]
        memory = limits["memory"]
        return cls(int(memory[:-2]) * _UNITS[memory[-2:]], float(limits["cpu"]))


@dataclass(frozen=True)
class Cell:
    """A process under limits; `kind` says how they are held: by a cgroup, or by rlimits."""

    pid: int
    kind: str
    _memory: Path | None = None

    @property
    def resident_mib(self) -> float:
        """Memory that is resident now."""
        return float(psutil.Process(self.pid).memory_info().rss) / MIB

    @property
    def peak_mib(self) -> float:
        """Memory that was resident at the most, since `forget_peak`."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) / 1024

    def forget_peak(self) -> None:
        """Count the peak from now on."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    @property
    def kills(self) -> int:
        """Times that the limit on memory has killed the process."""
        if self._memory is None:
            return 0
        control = (self._memory / "memory.oom_control").read_text()
        counts = dict(line.split() for line in control.splitlines())
        return int(counts.get("oom_kill", 0))


@contextmanager
def held(pid: int, name: str, limits: Limits) -> Iterator[Cell]:
    """Hold a process that has just begun to its limits, for the length of a block."""
    groups = {
        kind: CGROUPS / kind / f"queen-siege-{os.getpid()}-{name}" for kind in ("memory", "cpu")
    }
    quota = round(limits.processors * _PERIOD_MICROSECONDS)
    try:
        for group in groups.values():
            group.mkdir()
        (groups["memory"] / "memory.limit_in_bytes").write_text(str(limits.memory_bytes))
        (groups["cpu"] / "cpu.cfs_quota_us").write_text(str(quota))
        for group in groups.values():
            (group / "cgroup.procs").write_text(str(pid))
    except OSError:
        _remove(*groups.values())
        # Address space is more than what is resident: a weaker limit, and none on processors.
        resource.prlimit(pid, resource.RLIMIT_AS, (8 * limits.memory_bytes,) * 2)
        yield Cell(pid, "rlimit")
        return
    try:
        yield Cell(pid, "cgroup", groups["memory"])
    finally:
        with suppress(psutil.NoSuchProcess):
            psutil.Process(pid).wait(timeout=10)
        _remove(*groups.values())


def _remove(*groups: Path) -> None:
    for group in groups:
        with suppress(OSError):
            group.rmdir()
