"""Disks that cannot be written, or that are soon full, for one command."""

import shutil
import subprocess
from pathlib import Path

import pytest


def read_only(folder: Path, *command: str | Path) -> list[str | Path]:
    """The command line that runs `command` while nothing in `folder` can be written."""
    return _mounted('mount --bind "$0" "$0" && mount -o remount,bind,ro "$0"', folder, *command)


def on_small_disk(folder: Path, size: str, *command: str | Path) -> list[str | Path]:
    """The command line that runs `command` while `folder` is a disk of that size.

    The disk begins with what the folder holds and goes with the command; what was on it then
    replaces what the folder held.
    """
    script = f"""\
        saved=$(mktemp -d) && cp -a "$0/." "$saved" &&
        mount -t tmpfs -o size={size} none "$0" && cp -a "$saved/." "$0" || exit 99
        "$@"; status=$?
        rm -rf "$saved" && cp -a "$0" "$saved" && umount "$0" &&
        find "$0" -mindepth 1 -delete && cp -a "$saved/." "$0"
        rm -rf "$saved"; exit $status"""
    return _mounted(script, folder, *command)


def _mounted(script: str, folder: Path, *command: str | Path) -> list[str | Path]:
    mounting = ["unshare", "--map-root-user", "--mount"]
    if not shutil.which("unshare") or subprocess.run([*mounting, "true"]).returncode:
        pytest.skip("this system lets nobody but its administrator mount a disk for a test")
    if "$@" not in script:
        script += ' && exec "$@"'
    return [*mounting, "sh", "-c", script, folder, *command]
