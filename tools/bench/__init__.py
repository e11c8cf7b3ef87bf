"""Compares the packaged app with other ways to write the same functions: `make bench`, which writes docs/performance.md."""
