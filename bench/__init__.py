"""Benchmarks: programs that print ratios to something run beside them in the same run."""
