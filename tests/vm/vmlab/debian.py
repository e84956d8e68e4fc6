"""Debian packages, as the machines get them."""

import glob
import os
import re
import subprocess


def deb(folder, package):
    """The file of a package in a folder."""
    (path,) = glob.glob(os.path.join(folder, package + "_*.deb"))
    return path


def needed_by(path):
    """The packages that one depends on: the machines have no archive to get them from."""
    said = subprocess.run(["dpkg-deb", "-f", path, "Depends"], check=True, capture_output=True, text=True, timeout=60)
    return sorted(re.match(r"\s*([\w.+-]+)", one).group(1) for one in said.stdout.split(","))
