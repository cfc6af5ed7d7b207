"""What is measured, and how: `python -m benchmarks.NAME` prints one table."""
