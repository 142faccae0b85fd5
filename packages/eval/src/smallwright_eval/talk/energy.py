"""Energy counters of the machine: RAPL of the processor, NVML of the GPU."""

import contextlib
import importlib
from pathlib import Path
from typing import Any

RAPL = Path("/sys/class/powercap")


class Meter:
    """Joules that the machine takes while something is measured, by whoever works on it then."""

    def __init__(self, device: str, rapl: Path = RAPL) -> None:
        """Find the counters.

        Args:
            device: ``cpu`` or ``cuda``; a GPU is counted beside the processor.
            rapl: Where Linux keeps the counters of the processor.
        """
        self._zones = [zone for zone in sorted(rapl.glob("*-rapl:*")) if zone.name.count(":") == 1 and _readable(zone)]
        self._gpu = _gpu() if device == "cuda" else None
        self.sources = [*(["RAPL"] if self._zones else []), *(["NVML"] if self._gpu else [])]
        self.why_not = ""
        if not self._zones and self._gpu is None:
            there = any(rapl.glob("*-rapl:*"))
            self.why_not = "RAPL can be read by root only" if there else "this machine reports no energy (no RAPL"
            self.why_not += "" if there else ", no NVML)" if device == "cuda" else ")"
        self._before: list[tuple[float, float]] = []

    def begin(self) -> None:
        """Begin to count."""
        self._before = self._now()

    def joules(self) -> float | None:
        """Return the energy since :meth:`begin`; None: nothing counts it."""
        if not self.sources:
            return None
        # A counter begins anew at its end, which it reaches within minutes.
        return sum(
            now - then if now >= then else now - then + end
            for (now, end), (then, _) in zip(self._now(), self._before, strict=True)
        )

    def _now(self) -> list[tuple[float, float]]:
        """Return each counter, and where it begins anew, in joules."""
        found = [
            (_number(zone / "energy_uj") / 1e6, _number(zone / "max_energy_range_uj") / 1e6) for zone in self._zones
        ]
        if self._gpu is not None:
            nvml, handle = self._gpu
            found.append((nvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3, 0.0))
        return found


def _number(path: Path) -> float:
    return float(path.read_text(encoding="ascii"))


def _readable(zone: Path) -> bool:
    try:
        _number(zone / "energy_uj")
        _number(zone / "max_energy_range_uj")
    except (OSError, ValueError):
        return False
    return True


def _gpu() -> tuple[Any, Any] | None:
    with contextlib.suppress(Exception):  # not installed, no driver, or a GPU without a counter
        pynvml = importlib.import_module("pynvml")  # of nvidia-ml-py, which nothing else here needs
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
        return pynvml, handle
    return None
