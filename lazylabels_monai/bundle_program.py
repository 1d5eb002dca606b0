"""``python -m monai.bundle``, begun in half the time: with MONAI's import as :mod:`lazylabels_monai.late` has it, and threads
that wait as :mod:`lazylabels_monai.threads` has it. What follows on the command line is what MONAI's program takes."""

from __future__ import annotations

import runpy

from lazylabels_monai.late import import_late
from lazylabels_monai.threads import wait_asleep

__all__ = ["main"]


def main() -> None:
    """Be ``python -m monai.bundle``, ``sys.argv[0]`` included, by which a process is known for that program."""
    wait_asleep()
    import_late()
    runpy.run_module("monai.bundle", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
