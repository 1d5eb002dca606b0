"""A few of the damaged files of ``tools/bad_input.py``, which runs thousands: a result or one sentence each."""

from __future__ import annotations

import subprocess
import sys

from tests.helpers import ROOT


def test_damaged_files_give_a_result_or_a_sentence(bundle):
    arguments = ["tools/bad_input.py", "--quick", "--seed", "3", "--kinds", "readers,annotations,datalists"]
    arguments += ["--only", "read,datalist rough,then check,check"]
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=bundle.environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert done.stdout.rstrip().endswith(": 0 faults")
    assert "traceback" in done.stdout  # the table's column
