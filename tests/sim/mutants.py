#!/usr/bin/env python3
"""Builds every mutant of the decision core and lets the simulator hunt it.

usage: mutants.py --source DIR --build DIR [--seeds N] [--only NAME]

`seed` in mutants.toml is where a mutant was caught last: tried first, since it mostly is there again.

Exit code 0 when each mutant was caught (the simulator's exit code is 1 for it). Who was not caught by its own seed is named with
the one that caught it.
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import tomllib


CORE = {name: f"arbiterd/{name}" for name in ("configure.c", "decide.c", "faults.c", "handover.c", "judge.c", "report.c", "right.c", "upkeep.c")}
CORE["ballot.c"] = "witnessd/ballot.c"


COMPILE = ("cc", "-std=c17", "-O1", "-w", "-D_GNU_SOURCE")


def compile_object(source, build, file, out):
    subprocess.run([*COMPILE, f"-I{source}", f"-I{build}", "-c", "-o", str(out), str(file)], check=True)
    return str(out)


def compile_all(source, build, out, pool):
    """The objects of the simulator, and by their names those of the core."""
    files = [*(file for file in sorted((source / "tests/sim").glob("*.c")) if file.name != "exhaust.c"), build / "proto/topics.c",
             *(source / file for file in ("common/base.c", "proto/codec.c", "proto/utf8.c"))]
    world = [pool.submit(compile_object, source, build, file, out / f"{number}-{file.stem}.o") for number, file in enumerate(files)]
    core = {name: pool.submit(compile_object, source, build, source / file, out / f"core-{name}.o") for name, file in CORE.items()}
    return [job.result() for job in world], {name: job.result() for name, job in core.items()}


def break_text(text, mutant):
    for suffix in ("", "_too"):
        find = mutant.get("find" + suffix)
        if find and text.count(find) != 1:
            raise ValueError(f"the text to break occurs {text.count(find)} times in {mutant['file']}, not once: {find}")
        text = text.replace(find, mutant["replace" + suffix]) if find else text
    return text


def hunt(source, build, world, core, mutant, seeds):
    """None, or why it was not caught; and what to print besides."""
    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        broken = directory / mutant["file"]
        try:
            broken.write_text(break_text((source / CORE[mutant["file"]]).read_text(), mutant))
        except ValueError as error:
            return str(error), ""
        core = {**core, mutant["file"]: compile_object(source, build, broken, directory / "broken.o")}
        sim = str(directory / "sim")
        subprocess.run([*COMPILE, "-o", sim, *world, *core.values(), "-ljansson"], check=True)

        def run(*words):
            return subprocess.run([sim, "--stop", "--seeds", *map(str, words)], capture_output=True, text=True, timeout=1200)

        done = run(1, "--first", mutant["seed"]) if "seed" in mutant else None
        if done and done.returncode == 1:
            return None, ""
        done = run(seeds)
        if done.returncode != 1:
            return f"not caught with {seeds} seeds", ""
        return None, " by seed " + re.search(r"^seed (\d+) ", done.stdout, re.M)[1]


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
        world, core = compile_all(options.source, options.build, pathlib.Path(objects), pool)
        jobs = {pool.submit(hunt, options.source, options.build, world, core, m, options.seeds): m for m in mutants}
        for job in concurrent.futures.as_completed(jobs):
            failure, where = job.result()
            failures += failure is not None
            print(f"{jobs[job]['name']}: {failure or 'caught' + where}", flush=True)
    print(f"{len(mutants)} mutants, {failures} not caught")
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
