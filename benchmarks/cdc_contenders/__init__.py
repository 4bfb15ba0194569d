"""Who captures in `benchmarks.cdc`."""
