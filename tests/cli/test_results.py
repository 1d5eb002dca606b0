"""``results``: the table."""

from __future__ import annotations

import json


def test_results_prints_the_table(run, tmp_path):
    metrics = {
        "segmentation": {"dice": {"air bubble": 0.9471, "ice crystal": None, "mean": 0.9471}},
        "separation": {"precision": 0.7, "recall": 0.82},
        "objects": {"f1@0.5": 0.5, "f1@0.5 components": 0.25},
        "images": 12,
    }
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    (tmp_path / "predictions").mkdir()
    (tmp_path / "predictions" / "a_overlay.png").touch()
    result = run("results", tmp_path)
    assert result.exit_code == 0, result.output
    rows = {tuple(line.split()[:-1]): line.split()[-1] for line in result.output.splitlines()}
    assert "0.947" in next(line for line in result.output.splitlines() if "air bubble" in line)
    assert "unknown" in next(line for line in result.output.splitlines() if "ice crystal" in line)
    assert rows["precision",] == "0.700"
    assert rows["recall",] == "0.820"
    assert rows["f1@0.5", "components"] == "0.250"
    assert "a_overlay.png" in result.output
