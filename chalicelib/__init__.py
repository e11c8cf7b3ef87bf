"""All that runs in Lambda beside app.py, and nothing else."""

RELEASE = "0.1.0"
