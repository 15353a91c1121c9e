"""The check before handing in: `./export.sh check --help`."""
