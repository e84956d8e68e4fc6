"""The Debian packages: built by deploy/build-package, without a finding of lintian. That they install: vm/test_debian.py."""

import glob
import os
import subprocess

import pytest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("packages"))
    said = subprocess.run([os.path.join(ROOT, "deploy/build-package"), folder], capture_output=True, text=True,
                          timeout=900)
    assert said.returncode == 0, said.stderr
    return folder


def _package(built, name):
    (path,) = glob.glob(os.path.join(built, name + "_*.deb"))
    return path


def test_lintian_finds_nothing(built):
    (changes,) = glob.glob(os.path.join(built, "*.changes"))
    said = subprocess.run(["lintian", "--allow-root", "--fail-on=error,warning", changes],
                          capture_output=True, text=True, timeout=300)
    assert (said.returncode, said.stdout) == (0, "")


def test_package_holds_no_configuration(built):
    """duet.conf and the key are the administrator's: no upgrade can ask about them, or touch them."""
    listed = subprocess.run(["dpkg-deb", "-c", _package(built, "duet")], capture_output=True, text=True, check=True,
                            timeout=60).stdout
    files = [line.split()[5] for line in listed.splitlines()]
    assert [name for name in files if name.startswith("./etc/")] == ["./etc/", "./etc/duet/"]
    assert "./usr/bin/duet" in files and "./usr/libexec/duet/takeoverd" in files


def test_each_program_is_in_one_package(built):
    """The client goes to laptops, which are no gateways: neither package needs the other."""
    names = {}
    for package in ("duet", "duet-client"):
        listed = subprocess.run(["dpkg-deb", "-c", _package(built, package)], capture_output=True, text=True, check=True,
                                timeout=60).stdout
        names[package] = {line.split()[5] for line in listed.splitlines() if not line.split()[5].endswith("/")}
        fields = subprocess.run(["dpkg-deb", "-f", _package(built, package), "Depends"], capture_output=True, text=True,
                                check=True, timeout=60).stdout
        assert "duet" not in fields, fields
    assert not names["duet"] & names["duet-client"]
    assert {"./usr/bin/duet-client", "./usr/libexec/duet/roamd",
            "./usr/lib/systemd/system/duet-roamd.service"} <= names["duet-client"]


def test_manuals_are_sound(built):
    """No page of the packages has a mistake that man complains of."""
    for package in ("duet", "duet-client"):
        subprocess.run(["dpkg-deb", "-x", _package(built, package), os.path.join(built, "tree")], check=True, timeout=60)
    pages = glob.glob(os.path.join(built, "tree/usr/share/man/man*/*.gz"))
    assert len(pages) >= 13
    for page in pages:
        said = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", page], capture_output=True,
                              text=True, timeout=60, env=dict(os.environ, LC_ALL="C.UTF-8", MANROFFSEQ="",
                                                              MANWIDTH="80"))
        assert (said.returncode, said.stderr) == (0, ""), page
