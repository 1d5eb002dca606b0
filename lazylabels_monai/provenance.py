"""How something was made: when, by which versions, on what kind of machine, from which data. No path, no name of a machine."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import subprocess
from collections.abc import Iterable
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import lazylabels_monai

__all__ = ["commit", "digest_of_files", "machine", "made", "versions"]

_PACKAGES = ("monai", "torch", "numpy", "scikit-image")


def versions() -> dict[str, str]:
    """Versions of Python, this package and those that decide its answers."""
    found = {"python": platform.python_version(), "lazylabels-monai": lazylabels_monai.__version__}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def machine() -> str:
    """Processor, number of cores and accelerator, in words."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        found = re.search(r"model name\s*:\s*(.+)", info.read_text(encoding="utf-8", errors="replace"))
        name = found.group(1).strip() if found else name
    import torch

    threads = torch.get_num_threads()
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{name}, {os.cpu_count()} cores, {threads} of them used by a run{gpu}"


def commit() -> str | None:
    """The commit of a checkout, with ``+`` where files were changed since; None for an installed package."""
    root = Path(lazylabels_monai.__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    try:
        asked = [("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no")]
        found = [
            subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=True, timeout=20).stdout
            for words in asked
        ]
    except (OSError, subprocess.SubprocessError):
        return None
    return found[0].strip() + ("+" if found[1].strip() else "")


def digest_of_files(files: Iterable[tuple[str, str | os.PathLike]]) -> str:
    """32 hexadecimal digits of files' contents and of what each of them is, wherever they lie.

    Args:
        files: what a file is, such as "training 0 image", and its path.
    """
    whole = hashlib.blake2b(digest_size=16)
    for name, path in files:
        content = hashlib.blake2b(digest_size=16)
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                content.update(block)
        whole.update(f"{name} {content.hexdigest()}\n".encode())
    return whole.hexdigest()


def made(**more: Any) -> dict[str, Any]:
    """The record itself, as JSON holds it; ``more`` is added."""
    return {"date": str(date.today()), "versions": versions(), "commit": commit(), "machine": machine(), **more}
