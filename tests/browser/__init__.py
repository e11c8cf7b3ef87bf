"""The web app in a real browser, against what `make run` serves."""
