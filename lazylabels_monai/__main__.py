"""``python -m lazylabels_monai COMMAND``."""

from __future__ import annotations

from lazylabels_monai.cli import main

if __name__ == "__main__":
    main()
