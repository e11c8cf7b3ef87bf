"""Builds the Terraform module of a stage."""

from pathlib import Path


def package(stage: str, out: Path) -> None:
    """Write it."""
    raise NotImplementedError(stage, out)
