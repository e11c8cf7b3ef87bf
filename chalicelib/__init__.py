"""Everything that runs in Lambda; app.py, next to it, is the table of contents."""

__version__ = "0.1.0"
