"""The machine: what besides the settings a run's speed and numbers depend on."""

import logging
import os
import platform
from pathlib import Path
from typing import Any

import torch

log = logging.getLogger(__name__)


def best_device() -> torch.device:
    """Return the CUDA device where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def resolve_precision(wanted: str, device: torch.device) -> str:
    """Return "float32" or "bfloat16"; "auto" takes bfloat16 where the hardware multiplies it natively.

    A capability check rather than a measurement, so that the same machine always answers alike.
    """
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bfloat16" if native else "float32"


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def device_name() -> str:
    """Return "cpu" or the GPU's name."""
    device = best_device()
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def gpu_use() -> float | None:
    """Return the share of the time (fraction) in which the GPU was lately busy, by NVML; None without one.

    Of the whole device: both models, and every other program. Takes some milliseconds, waits for no stream.
    """
    device = best_device()
    if device.type != "cuda":
        return None
    try:
        return torch.cuda.utilization(device) / 100
    except Exception as error:  # no NVML, no permission (a virtual GPU): the figure is a comfort, not a need
        log.debug("no GPU use: %s", error)
        return None


def environment() -> dict[str, Any]:
    """Return what besides the settings a run's numbers depend on."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": device_name(),
        "cores": available_cores(),
        "platform": platform.platform(),
        "revision": git_revision(Path(__file__).resolve().parents[1]),
    }


def git_revision(directory: Path) -> str | None:
    """Return the commit that a folder's files were checked out from, read without git; None where there is none."""
    git = directory / ".git"
    try:
        if git.is_file():  # a worktree: the file points to where it keeps its HEAD
            git = directory / git.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
        head = (git / "HEAD").read_text(encoding="utf-8").strip()
        if not head.startswith("ref: "):
            return head
        common = git / (git / "commondir").read_text(encoding="utf-8").strip() if (git / "commondir").exists() else git
        reference = head.removeprefix("ref: ")
        if (common / reference).is_file():
            return (common / reference).read_text(encoding="utf-8").strip()
        packed = (common / "packed-refs").read_text(encoding="utf-8").splitlines()
        return next((line.split()[0] for line in packed if line.endswith(f" {reference}")), None)
    except (OSError, ValueError):
        return None
