"""Install the pinned packages into the environment that runs this, and say what is done.

    .venv/bin/python install.py

PyTorch as PyPI has it brings 5 GB of CUDA libraries. Where no NVIDIA GPU is found, its CPU-only build is taken
from PyTorch's own index, if that answers within seconds. An install that was broken off goes on at the next
call: pip keeps each package that it has wholly downloaded. Needs nothing but Python and pip.
"""

import platform
import re
import shutil
import subprocess
import sys
import urllib.request
from importlib import metadata
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
PATIENCE = 5.0  # seconds for the index to answer
CUDA_BUILD = "PyTorch as PyPI has it, with 5 GB of CUDA libraries: this takes some minutes."


def main() -> int:
    """Install everything; return pip's exit code."""
    pins = pytorch_pins(REQUIREMENTS.read_text(encoding="utf-8"))
    if not are_installed(pins) and brings_cuda():
        choose_pytorch(pins)
    return pip("-r", str(REQUIREMENTS))


def choose_pytorch(pins: dict[str, str], index: str = CPU_INDEX) -> None:
    """Install the CPU-only build where that will do and can be had; say which one is taken, and why."""
    if has_nvidia_gpu():
        say(f"An NVIDIA GPU is there. Installing {CUDA_BUILD}")
    elif not has_cpu_build(pins, index):
        say(f"No NVIDIA GPU is found, but {index} does not offer its CPU-only build here. Installing {CUDA_BUILD}")
    else:
        say(f"No NVIDIA GPU is found: installing PyTorch's CPU-only build from {index}.")
        if pip(*(f"{name}=={version}" for name, version in pins.items()), "--index-url", index):
            say(f"That did not work. Installing {CUDA_BUILD}")


def pytorch_pins(requirements: str) -> dict[str, str]:
    """Return the versions of torch and torchvision that a requirements file asks for."""
    return dict(re.findall(r"^(torch|torchvision)==(\S+)$", requirements, re.MULTILINE))


def are_installed(pins: dict[str, str]) -> bool:
    """Whether these versions are there, of whatever build."""
    try:
        return all(metadata.version(name).split("+")[0] == version for name, version in pins.items())
    except metadata.PackageNotFoundError:
        return False


def brings_cuda() -> bool:
    """Whether PyPI's PyTorch for this machine brings CUDA libraries; those for macOS and ARM are CPU-only."""
    return sys.platform == "linux" and platform.machine() == "x86_64"


def has_nvidia_gpu() -> bool:
    """Whether NVIDIA's driver is there and lists a GPU."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return False
    listed = subprocess.run([tool, "-L"], capture_output=True, text=True, check=False)
    return listed.returncode == 0 and "GPU" in listed.stdout


def has_cpu_build(pins: dict[str, str], index: str, patience: float = PATIENCE) -> bool:
    """Whether an index answers within so many seconds, and lists these versions for this Python and machine."""
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    for name, version in pins.items():
        try:
            with urllib.request.urlopen(f"{index}/{name}/", timeout=patience) as answer:  # noqa: S310 - https, or a test's
                page = answer.read().decode("utf-8", "replace")
        except (OSError, ValueError):  # no such host, refused, timed out, no such page
            return False
        if not re.search(rf"{name}-{re.escape(version)}(?:\+|%2B)cpu-{python}-[^\"<]*x86_64\.whl", page):
            return False
    return bool(pins)


def pip(*arguments: str) -> int:
    """Run pip's install with its progress shown; return its exit code."""
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", *arguments]
    return subprocess.run(command, check=False).returncode


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
