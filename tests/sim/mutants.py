#!/usr/bin/env python3
"""Builds every mutant of the decision core and lets the simulator hunt it.

usage: mutants.py --source DIR --build DIR [--seeds N] [--only NAME]

`seed` in mutants.toml is where a mutant was caught last: tried first, since it mostly is there again.

Exit code 0 when each mutant was caught (the simulator's exit code is 1 for it), and the unbroken core is not.
"""
import argparse
import concurrent.futures
import os
import pathlib
import subprocess
import sys
import tempfile
import tomllib


CORE = {name: f"arbiterd/{name}" for name in ("configure.c", "decide.c", "handover.c", "judge.c", "report.c", "right.c", "upkeep.c")}
CORE["ballot.c"] = "witnessd/ballot.c"


COMPILE = ("cc", "-std=c17", "-O1", "-w", "-D_GNU_SOURCE")


def compile_world(source, build, out):
    """All of the simulator but the core, once; returns the objects."""
    files = [*(file for file in sorted((source / "tests/sim").glob("*.c")) if file.name != "exhaust.c"), build / "proto/topics.c", source / "common/base.c",
             source / "proto/codec.c"]
    objects = []
    for number, file in enumerate(files):
        objects.append(str(out / f"{number}-{file.stem}.o"))
        subprocess.run([*COMPILE, f"-I{source}", f"-I{build}", "-c", "-o", objects[-1], str(file)], check=True)
    return objects


def compile_sim(source, build, world, core, out):
    """The simulator linked with the core in directory `core`."""
    command = [*COMPILE, f"-I{source}", f"-I{build}", "-o", out, *world, *(str(core / name) for name in CORE), "-ljansson"]
    subprocess.run(command, check=True)


def hunt(source, build, world, mutant, seeds):
    with tempfile.TemporaryDirectory() as directory:
        core = pathlib.Path(directory)
        for name in CORE:
            text = (source / CORE[name]).read_text()
            if mutant and name == mutant["file"]:
                for suffix in ("", "_too"):
                    find = mutant.get("find" + suffix)
                    if find and text.count(find) != 1:
                        return f"the text to break occurs {text.count(find)} times in {name}, not once: {find}"
                    text = text.replace(find, mutant["replace" + suffix]) if find else text
            (core / name).write_text(text)
        compile_sim(source, build, world, core, str(core / "sim"))
        sim = lambda *words: subprocess.run([str(core / "sim"), "--stop", "--seeds", *map(str, words)], capture_output=True,
                                            text=True, timeout=600)
        run = sim(1, "--first", mutant["seed"]) if mutant and "seed" in mutant else None
        if not run or run.returncode != 1:
            run = sim(seeds)
        caught = run.returncode == 1
        if caught == bool(mutant):
            return None
        return f"not caught with {seeds} seeds" if mutant else f"the unbroken core fails:\n{run.stdout}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", type=pathlib.Path, required=True)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--seeds", type=int, default=4000)
    parser.add_argument("--only")
    options = parser.parse_args()
    with open(options.source / "tests/sim/mutants.toml", "rb") as f:
        mutants = tomllib.load(f)["mutant"]
    mutants = [m for m in mutants if options.only in (None, m["name"])]
    failures = 0
    with (tempfile.TemporaryDirectory() as objects, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool):
        world = compile_world(options.source, options.build, pathlib.Path(objects))
        jobs = {pool.submit(hunt, options.source, options.build, world, m, options.seeds): m for m in mutants}
        for job in concurrent.futures.as_completed(jobs):
            failure = job.result()
            failures += failure is not None
            print(f"{jobs[job]['name']}: {failure or 'caught'}", flush=True)
    print(f"{len(mutants)} mutants, {failures} not caught")
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
