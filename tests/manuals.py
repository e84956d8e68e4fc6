#!/usr/bin/env python3
"""Keeps the manuals and the programs together: every configuration key, every command and every option that the code
knows is in the manuals, and no other.

usage: manuals.py --source DIR

What the code knows is read from its tables: common/config_parse.c and config_timers.c for the keys, cli/ for the
commands and their options, common/daemon.c for the options that all programs take.
"""
import argparse
import pathlib
import re
import sys

# Headings of duet.conf(5) -> the kind of section; under OTHER SECTIONS each kind has a line of its own.
HEADINGS = {"CLUSTER": "cluster", "Timers": "cluster", "NODES": "node", "CHANNELS": "channel", "ROUTES": "route", "RULES": "rule",
            
            "SERVICES": "service", "HOOKS": "hook", "SYNC SETS": "sync"}
OTHER = "OTHER SECTIONS"
# Options by which a program starts itself at other work: nobody else gives them.
INTERNAL = {"trapd": {"--sink"}}


# ------------------------------------------------------------------------------------------- configuration keys

def keys_of_code(source):
    """Kind of section -> its keys."""
    grammar = (source / "common/config_parse.c").read_text()
    keys = {}
    for name, body in re.findall(r"static const cfg_opt_t (\w+)_options\[\] = \{(.*?)\};", grammar, re.S):
        if name != "root":
            keys.setdefault(name.split("_")[0], set()).update(re.findall(r'(?:SCALAR|LIST)\("([\w-]+)"\)', body))
    timers = (source / "common/config_timers.c").read_text()
    table = timers[timers.index("config_timer_table[CONFIG_TIMERS]"):]
    keys["cluster"].update(re.findall(r'TIMER\("([\w-]+)"', table[:table.index("};")]))
    return keys


MACROS = {"No", "Ns", "Ta", "Ar", "Cm", "Li", "Xo", "Op", "Oo"}


def keys_of_line(line):
    """The keys of a line such as `.It Ic user No = Ar name , Ic group No = Ar name`."""
    found, taking = [], False
    for word in line.split()[1:]:
        if word == "Ic":
            taking = True
        elif word in MACROS:
            taking = False
        elif taking and word != ",":
            found.append(word)
    return found


def keys_of_manual(source):
    keys, kind, heading = {}, None, None
    for line in (source / "docs/man/duet.conf.5").read_text().splitlines():
        if line.startswith((".Sh ", ".Ss ")):
            heading = line[4:].strip()
            kind = HEADINGS.get(heading)
        elif heading == OTHER and (found := re.match(r"\.Ql (watchdog|\w+ :)$", line)):
            kind = found[1].split()[0]
        elif kind and line.startswith(".It Ic "):
            keys.setdefault(kind, set()).update(keys_of_line(line))
    return keys


# --------------------------------------------------------------------------------------- commands and options

def bodies(text):
    """(name, body) of each function of a C file."""
    for found in re.finditer(r"^[a-z][\w \*]*?\b(\w+)\([^;{]*\)\n\{\n(.*?)^\}\n", text, re.S | re.M):
        yield found[1], found[2]


def options_in(body):
    return set(re.findall(r'command_take_(?:flag|value)\(invocation, "(--[\w-]+)"', body))


def commands_of_code(source):
    """Command -> (options that must be in the manual, options that may be: taken in its file by a helper)."""
    table = re.search(r"\} commands\[\] = \{(.*?)\n\};", (source / "cli/main.c").read_text(), re.S)[1]
    commands, functions = {}, {}
    for name, arguments, function in re.findall(r'\{"([\w-]+)",\s*"([^"]*)",.*?(\w+)_command\}', table, re.S):
        commands[name] = (set(), set(re.findall(r"--[\w-]+", arguments)))
        functions[function] = name
    for path in sorted((source / "cli").glob("*.c")):
        found = list(bodies(path.read_text()))
        here = [functions[name[:-8]] for name, _ in found if name.endswith("_command") and name[:-8] in functions]
        for name, body in found:
            own = functions.get(name[:-8]) if name.endswith("_command") else None
            for command in [own] if own else here if len(here) == 1 else []:
                commands[command][0].update(options_in(body))
    return commands


def commands_of_manual(source):
    """Command -> the options that its entries in duet(8) name."""
    commands = {}
    for line in (source / "docs/man/duet.8").read_text().splitlines():
        if found := re.match(r"\.It Cm ([\w-]+)(.*)$", line):
            commands.setdefault(found[1], set()).update("-" + word for word in re.findall(r"Fl (-[\w-]+)", found[2]))
    return commands


def shared_options(source):
    text = (source / "common/daemon.c").read_text()
    return set(re.findall(r'\{"(--[\w-]+)", &options->', text))


def options_of_synopsis(path):
    text = path.read_text()
    synopsis = text[text.index(".Sh SYNOPSIS"):text.index(".Sh DESCRIPTION")]
    return {"-" + word for word in re.findall(r"Fl (-[\w-]+)", synopsis)}


# ---------------------------------------------------------------------------------------------------- the whole

def compare(what, code, manual):
    for name in sorted(code - manual):
        yield f"{what}: the code knows {name}, the manual does not"
    for name in sorted(manual - code):
        yield f"{what}: the manual has {name}, the code does not know it"


def check_keys(source):
    code, manual = keys_of_code(source), keys_of_manual(source)
    yield from compare("duet.conf(5)", set(code), set(manual))
    for kind in sorted(code):
        if not code[kind]:
            yield f"no key of {kind} was found in the code: has its table changed?"
        yield from compare(f"duet.conf(5), {kind}", code[kind], manual.get(kind, set()))


def check_commands(source):
    code, manual = commands_of_code(source), commands_of_manual(source)
    yield from compare("duet(8)", set(code), set(manual))
    for name in sorted(set(code) & set(manual)):
        taken, listed = code[name]
        yield from compare(f"duet(8), {name}", taken, manual[name])
        yield from (f"duet help, {name}: it has {option}, the code does not know it" for option in sorted(listed - taken))


def check_programs(source):
    shared = shared_options(source)
    if len(shared) < 4:
        yield "the options that all programs take were not found: has common/daemon.c changed?"
    for path in sorted((source / "docs/man").glob("*.8")):
        name = path.stem
        folder = source / {"duet": "cli", "roamd": "client"}.get(name, name)
        own = set()
        if name != "duet" and (folder / "main.c").exists():
            own = set(re.findall(r'strcmp\(argv\[\d\], "(--[\w-]+)"', (folder / "main.c").read_text())) - INTERNAL.get(name, set())
        if not folder.is_dir():
            yield f"docs/man/{path.name}: there is no such program"
        yield from compare(path.name, shared | own, options_of_synopsis(path))
    for main in sorted(source.glob("*d/main.c")):
        if not (source / "docs/man" / (main.parent.name + ".8")).exists():
            yield f"{main.parent.name} has no manual"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", type=pathlib.Path, required=True)
    source = parser.parse_args().source
    problems = [*check_keys(source), *check_commands(source), *check_programs(source)]
    print("\n".join(problems) or "the manuals have what the programs know")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
