"""The check before handing in: `python -m hw1lib.submission check --help`."""
