"""Never shipped: AWS on a laptop, `make run`, and what a developer needs beside it."""
