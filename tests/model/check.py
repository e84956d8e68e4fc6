#!/usr/bin/python3
"""Checks the model of the decision: its rows, all its states, and that broken copies of it are found out.

usage: check.py --source DIR [rows | states | mutants]... [--long]

rows     the table of arbiterd/decide.c and that of decide.pml name the same rows in the same order
states   spin walks all states of each combination of faults below, without a violation; and every row applied in some
mutants  each broken copy of the model (mutants.toml) is found out

--long adds the combinations that take minutes. Needs spin and gcc. States are kept whole (COLLAPSE). Memory is at most 2 GiB for each
of them, with as many at a time as there are processors (--long: 20 GiB, one at a time).
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import tomllib

MEMORY_MB, LONG_MEMORY_MB = 2000, 20000
DEPTH = 100000
# What may go wrong, and how often altogether.
SUITE = (("NETWORK ONEWAY LOSS", 2), ("NETWORK PROCESSES STUCK", 1), ("ORDERS TROUBLES STUCK", 1), ("NETWORK WITNESS", 1),
         ("PROCESSES WITNESS", 1), ("ISOLATE NETWORK", 1), ("ORDERS LOSS EXCLUSIVE", 2))
LONG = (("NETWORK PROCESSES", 2), ("ORDERS TROUBLES STUCK", 2), ("NETWORK ONEWAY LOSS", 3), ("NETWORK ORDERS", 2), ("NETWORK STUCK", 2),
        ("PROCESSES TROUBLES", 2), ("PROCESSES ORDERS STUCK", 2), ("WITNESS TROUBLES", 1), ("WITNESS ORDERS", 1),
        ("DENIAL WITNESS", 1))
# Rows that take a combination of LONG.
LONG_ROWS = {"R8-denied"}


class Failed(Exception):
    pass


def rows_of_c(source):
    table = (source / "arbiterd/decide.c").read_text().split("const struct arbiter_row arbiter_rows[] = {")[1]
    return re.findall(r'^    \{"([\w-]+)",', table.split("\n};")[0], re.M)


def rows_of_model(source):
    table = (source / "tests/model/decide.pml").read_text().split("inline table()")[1].split("\n}")[0]
    return [name.replace("_", "-") for name in re.findall(r"^    ROW\((\w+),", table, re.M)]


def check_rows(source):
    c, model = rows_of_c(source), rows_of_model(source)
    if not c or c != model:
        raise Failed("the rows differ, or their order does; only in decide.c: %s; only in decide.pml: %s" % (
            [row for row in c if row not in model], [row for row in model if row not in c]))
    print(f"rows: {len(c)}, the same in decide.c and decide.pml")


def walk_all(walks, workers=None):
    """Several at a time; what they return, in their order."""
    with concurrent.futures.ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        yield from pool.map(lambda words: walk(*words), walks)


def walk(model, kinds, faults, memory_mb=MEMORY_MB, depth=DEPTH):
    """All states to this depth; returns the rows that applied, the states, the megabytes, the first violation or None, and the seconds."""
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "decide.pml"
        path.write_text(model)
        run = lambda *words: subprocess.run(words, cwd=directory, capture_output=True, text=True, timeout=1800)
        made = run("spin", "-a", f"-DFAULTS={faults}", *(f"-D{kind}" for kind in kinds.split()), "decide.pml")
        built = run("gcc", "-O2", "-w", "-DSAFETY", "-DCOLLAPSE", "-DNOREDUCE", f"-DMEMLIM={memory_mb}", "-o", "pan", "pan.c")
        if made.returncode != 0 or built.returncode != 0:
            raise Failed(f"the model does not build: {made.stdout}{built.stderr}")
        said = run("./pan", f"-m{depth}").stdout
    errors, states = re.search(r"errors: (\d+)", said), re.search(r"([\d.e+]+) states, stored", said)
    whole = not re.search("error: max search depth|Search not completed", said)
    if not errors or not whole and errors[1] == "0":  # what was not walked may hold a violation
        raise Failed(f"the search did not come to its end:\n{said[-2000:]}")
    violation = re.search(r"^pan:1: (.*)", said, re.M)
    megabytes = re.search(r"([\d.]+)\s+total actual memory", said)
    return (set(re.findall(r"^row (\w+)", said, re.M)), int(float(states[1])), float(megabytes[1]),
            violation[1] if errors[1] != "0" else None, time.monotonic() - begin)


def check_states(source, long):
    model = (source / "tests/model/decide.pml").read_text()
    applied = set()
    combinations = SUITE + (LONG if long else ())
    for (kinds, faults), walked in zip(combinations, walk_all(((model, *those, LONG_MEMORY_MB if long else MEMORY_MB) for those in combinations),
                                                        1 if long else None)):
        rows, states, megabytes, violation, seconds = walked
        if violation:
            raise Failed(f"{kinds}, {faults} faults: {violation}\n"
                         f"its story: spin -a -DTELL -DFAULTS={faults} {' '.join('-D' + kind for kind in kinds.split())} "
                         "decide.pml; gcc -O2 -w -DSAFETY -DCOLLAPSE -DNOREDUCE -o pan pan.c; ./pan -m100000; ./pan -r")
        applied |= rows
        print(f"states: {kinds}, {faults} faults: {states} states, no violation; {megabytes:.0f} MB, "
              f"{seconds:.0f} s", flush=True)
    missing = [row for row in rows_of_model(source)
               if row.replace("-", "_") not in applied and (long or row not in LONG_ROWS)]
    if missing:
        raise Failed(f"rows that never applied, so nothing is known of them: {missing}")


def check_mutants(source):
    model = (source / "tests/model/decide.pml").read_text()
    with open(source / "tests/model/mutants.toml", "rb") as table:
        mutants = tomllib.load(table)["mutant"]
    broken = []
    for mutant in mutants:
        if model.count(mutant["find"]) != 1:
            raise Failed(f"{mutant['name']}: the text to break occurs {model.count(mutant['find'])} times, not once")
        broken.append((model.replace(mutant["find"], mutant["replace"]), mutant["kinds"], mutant["faults"], MEMORY_MB,
                       mutant.get("depth", DEPTH)))
    missed = []
    for mutant, (_, _, _, violation, _) in zip(mutants, walk_all(broken)):
        print(f"mutant {mutant['name']}: {'found out' if violation else 'NOT FOUND OUT'}", flush=True)
        missed += [] if violation else [mutant["name"]]
    if missed:
        raise Failed(f"not found out: {missed}")


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n")[0])
    parser.add_argument("--source", type=pathlib.Path, required=True)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("what", nargs="*", default=["rows", "states", "mutants"])
    options = parser.parse_args()
    try:
        if "rows" in options.what:
            check_rows(options.source)
        if "states" in options.what:
            check_states(options.source, options.long)
        if "mutants" in options.what:
            check_mutants(options.source)
    except Failed as failed:
        sys.exit(f"model: {failed}")


if __name__ == "__main__":
    main()
