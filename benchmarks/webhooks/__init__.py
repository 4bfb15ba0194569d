"""The parts of `python -m benchmarks.webhook`."""
