"""Other programs on the same lazy labels, each in an environment of its own; docs/benchmarks.md."""
