#!/usr/bin/env python3
"""Keeps what docs/architecture.md promises about the shape of the code.

usage: style.py --source DIR --build DIR

- cores are pure: their undefined symbols are only those of text and memory
- includes point one way: daemons -> common -> proto, no daemon into another
- libraries stay behind their doors (libzmq, Jansson, libnl, libconfuse, sd-event)
- functions and files stay short enough to read
"""
import argparse
import pathlib
import re
import subprocess
import sys

DAEMONS = {"arbiterd", "heartbeatd", "takeoverd", "superviserd", "syncd", "trapd", "monitord", "witnessd", "client"}
CORES = {"arbiterd/libdecide.a", "arbiterd/libexchange.a", "heartbeatd/libheartbeat_core.a", "takeoverd/libtakeoverd_core.a",
         "superviserd/libsuperviserd_core.a", "cli/libcli_setup.a", "trapd/libtrapd_core.a", "trapd/libtrapd_view.a",
         "monitord/libmonitord_core.a", "client/libroam_core.a", "witnessd/libballot.a"}
ALLOCATING_CORES = {"syncd/libsyncd_index.a"}

# What a core may call: nothing that knows a clock, the kernel or an allocator.
PURE = re.compile(r"^(mem(cpy|move|set|cmp|chr)|str(n?len|c?spn|n?cmp|n?casecmp|chr|rchr|n?cpy|n?cat|toul{0,2}|tol)|v?snprintf|inet_(ntop|pton)"
                  r"|__(v?snprintf|memcpy|memset|memmove|str(n?cpy|n?cat))_chk|__stack_chk_fail|__isoc99_sscanf|sscanf|qsort"
                  r"|_GLOBAL_OFFSET_TABLE_|__assert_fail|__ctype_b_loc"
                  r"|__(asan|ubsan|sanitizer)_.*|__sanitizer_cov_.*|__sancov_.*)$")
# What one that keeps as much as there is may call besides.
ALLOCATING = re.compile(r"^(malloc|calloc|realloc(array)?|free|strdup|memrchr|fnmatch|XXH3_\w+|XXH128_\w+|sodium_memzero"
                        r"|randombytes_buf_deterministic)$")
# Common and proto functions that are pure themselves.
PURE_OWN = re.compile(r"^(text_copy|text_make_printable|utf8_bytes|backoff_ns|heartbeat_\w+|field_is_measure|nd_\w+|net_address_\w+|config_\w+_equal|mac_\w+|mib_\w+|model_(get|next|runs|wants|health|peer_ready|daemons)|duration_print|[a-z_]+_names"
                      r"|[a-z_]+_type|sync_path_clean|sync_path_root)$")

# Header -> the only places that may include it.
DOORS = {
    "zmq.h": {"common/bus.c", "common/curve.c", "common/loop.c", "common/zap.c", "monitord/outlet.c", "syncd/link.c", "syncd/plug.c"},
    "curl/curl.h": {"witnessd/http.c", "witnessd/main.c"},
    "microhttpd.h": {"monitord/web.c", "client/page.c"},
    "jansson.h": {"proto/codec.c", "cli/", "client/show.c", "witnessd/etcd_text.c"},
    "sqlite3.h": {"syncd/sqlite.c", "syncd/sqlite_settle.c", "trapd/backlog.c"},
    "confuse.h": {"common/config"},
    "netlink/": {"heartbeatd/linux_", "takeoverd/linux_"},
    "nftables/": {"takeoverd/linux_gate.c"},
    "net-snmp/": {"trapd/session.c", "trapd/agent.c"},
    "linux/": {"heartbeatd/linux_", "takeoverd/linux_", "superviserd/linux_", "syncd/linux_", "common/linux_", "cli/linux_", "client/linux_"},
    "xxhash.h": {"syncd/"},
    "systemd/sd-event.h": {"common/loop.c"},
    "systemd/sd-bus.h": {"superviserd/linux_unit.c"},
}
FUNCTION_LINES_MAX = 60
FILE_LINES_MAX = 700


def sources(root):
    for directory in sorted(DAEMONS | {"cli", "common", "proto"}):
        yield from sorted((root / directory).glob("*.[ch]"))


def check_purity(build):
    for core in sorted(CORES | ALLOCATING_CORES):
        archive = build / core
        if not archive.exists():
            yield f"{core}: there is no such core"
            continue
        listing = subprocess.run(["nm", str(archive)], capture_output=True, text=True, check=True).stdout
        symbols = [line.split()[-2:] for line in listing.splitlines() if len(line.split()) >= 2]
        own = {name for kind, name in symbols if kind != "U"}
        for name in sorted({name for kind, name in symbols if kind == "U"} - own):
            allowed = core in ALLOCATING_CORES and ALLOCATING.match(name)
            if not PURE.match(name) and not PURE_OWN.match(name) and not allowed:
                yield f"{core}: a core must not call {name}()"


def area(path):
    return path.split("/")[0]


def check_include(name, included):
    here, there = area(name), area(included)
    if included in ("proto/topics.h",) or "/" not in included:
        return
    if here in DAEMONS and there in DAEMONS | {"cli"} and here != there:
        yield f"{name}: includes {included} of another program"
    if here == "common" and there not in ("common", "proto"):
        yield f"{name}: common must not include {included}"
    if here == "proto" and there not in ("proto",) and included != "common/base.h":
        yield f"{name}: proto must not include {included}"
    if there == "tests":
        yield f"{name}: includes {included}; nobody includes tests"


def check_doors(name, text):
    for header, allowed in DOORS.items():
        if re.search(rf'#include [<"]{re.escape(header)}', text) and not any(name.startswith(a) for a in allowed):
            yield f"{name}: {header} is only for {', '.join(sorted(allowed))}"


def check_lengths(name, text):
    lines = text.splitlines()
    if len(lines) > FILE_LINES_MAX:
        yield f"{name}: {len(lines)} lines; more than {FILE_LINES_MAX} are two files in one"
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line == "}" and start:
            if number - start > FUNCTION_LINES_MAX:
                yield f"{name}:{start}: a function of {number - start} lines; at most {FUNCTION_LINES_MAX}"
            start = None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", type=pathlib.Path, required=True)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    options = parser.parse_args()
    problems = list(check_purity(options.build))
    for path in sources(options.source):
        name = str(path.relative_to(options.source))
        text = path.read_text()
        for included in re.findall(r'#include "([^"]+)"', text):
            problems += check_include(name, included)
        problems += check_doors(name, text)
        if path.suffix == ".c":
            problems += check_lengths(name, text)
    print("\n".join(problems) or "the shape is kept")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
