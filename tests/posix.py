#!/usr/bin/env python3
"""Proves what of duet compiles with nothing but POSIX (REQUIREMENTS L18).

usage: posix.py --source DIR --build DIR [--cc COMPILER]

- the cores of arbiterd and heartbeatd, proto/ and the base of common/ include headers of C, of POSIX, of portable
  libraries and of their own kind; so do all headers of duet that they reach
- they compile where names beyond POSIX.1-2008 are hidden (_POSIX_C_SOURCE instead of _GNU_SOURCE), with an unknown
  name as an error
- their objects call nothing of Linux
"""
import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

# All that these archives are made of.
ARCHIVES = {"proto": "proto/libproto.a", "arbiterd": "arbiterd/libdecide.a", "heartbeatd": "heartbeatd/libheartbeat_core.a"}
# And these, of what daemons share or are made of besides.
FILES = ["common/base.c", "common/duration.c", "common/model.c", "common/nd.c", "common/net.c", "common/seal.c",
         "common/statefile.c", "arbiterd/chronicle.c", "arbiterd/exchange.c", "arbiterd/history.c", "arbiterd/server.c", "arbiterd/server_alarms.c",
         "arbiterd/server_bus.c", "arbiterd/server_orders.c", "arbiterd/server_records.c"]
C = "assert ctype errno float inttypes iso646 limits locale math setjmp signal stdalign stdarg stdbool stddef stdint stdio stdlib string time"
POSIX = ("arpa/inet dirent fcntl fnmatch grp net/if netdb netinet/in netinet/tcp poll pthread pwd sched spawn strings sys/mman "
         "sys/resource sys/select sys/socket sys/stat sys/statvfs sys/time sys/types sys/uio sys/un sys/wait syslog termios unistd")
LIBRARIES = "jansson sodium zmq"
ALLOWED = {name + ".h" for name in f"{C} {POSIX} {LIBRARIES}".split()}
LINUX = re.compile(r"^(epoll_\w+|eventfd\w*|signalfd|timerfd_\w+|inotify_\w+|prctl|syscall|pidfd_\w+|sd_\w+|nl_\w+|rtnl_\w+|cap_\w+"
                   r"|openat2|renameat2|memfd_create|sendmmsg|recvmmsg|accept4|pipe2|getrandom)$")


def members(archive):
    listing = subprocess.run(["ar", "t", str(archive)], capture_output=True, text=True, check=True).stdout
    return sorted(pathlib.Path(name).name.removesuffix(".o") for name in listing.split())


def portable_sources(source, build):
    for directory, archive in ARCHIVES.items():
        for name in members(build / archive):
            name = name.removeprefix("meson-generated_.._")
            own = source / directory / name
            yield own if own.exists() else build / directory / name
    for name in FILES:
        yield source / name


def reached(path, options):
    """The files of duet that make up this one: itself, and what it includes."""
    rule = subprocess.run([options.cc, "-MM", "-D_GNU_SOURCE", *include_options(options), str(path)],
                          capture_output=True, text=True, check=True).stdout
    return [pathlib.Path(name) for name in rule.replace("\\\n", " ").split()[1:] if not name.startswith("/usr/")]


def include_options(options):
    return [f"-I{options.source}", f"-I{options.build}", f"-I{options.build}/proto"]


def check_includes(path):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        header = re.match(r"\s*#\s*include\s*<([^>]+)>", line)
        if header and header[1] not in ALLOWED:
            yield f"{path}:{number}: <{header[1]}> is not of POSIX: put what needs it into a linux_*.c, behind a header without it"


def check_compiles(path, options, scratch):
    compiled = scratch / "object.o"
    result = subprocess.run([options.cc, "-c", "-std=c17", "-O1", "-D_POSIX_C_SOURCE=200809L", '-DDUET_VERSION="0"', "-Wall", "-Wextra",
                             "-Wno-missing-field-initializers", "-Werror", *include_options(options), str(path), "-o", str(compiled)],
                            capture_output=True, text=True)
    if result.returncode != 0:
        yield f"{path}: does not compile with POSIX alone:\n{result.stderr}"
        return
    called = subprocess.run(["nm", "-u", str(compiled)], capture_output=True, text=True, check=True).stdout.split()
    for name in sorted(name for name in called if LINUX.match(name)):
        yield f"{path}: calls {name}(), which only Linux has"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", type=pathlib.Path, required=True)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--cc", default="gcc")
    options = parser.parse_args()
    sources = list(portable_sources(options.source, options.build))
    problems, files = [], set()
    with tempfile.TemporaryDirectory() as scratch:
        for path in sources:
            files.update(reached(path, options))
            problems += check_compiles(path, options, pathlib.Path(scratch))
    for path in sorted(files):
        problems += check_includes(path)
    print("\n".join(problems) or f"{len(sources)} sources, {len(files)} files with their headers, need nothing but POSIX")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
