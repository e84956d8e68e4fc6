#!/usr/bin/env python3
"""Makes mib.h and mib.c from DUET-MIB.txt: the only place where the program learns an object identifier.

usage: generate.py DUET-MIB.txt OUT.h OUT.c

It reads what DUET-MIB is written in, not all of SMIv2; what it does not know it refuses, with the line.
"""
import re
import sys

BASE = re.compile(r"::= \{ enterprises ((?:\w+\(\d+\) )+)(\d+) \}")
SYNTAXES = {"Counter32": "COUNTER", "Gauge32": "GAUGE", "Unsigned32": "UNSIGNED", "TruthValue": "INTEGER",
            "DuetText": "OCTETS", "DuetName": "OCTETS", "DuetMoment": "OCTETS", "DateAndTime": "OCTETS"}


def constant(name):
    """duetNodeRole -> MIB_NODE_ROLE"""
    return "MIB_" + re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.removeprefix("duet")).upper()


class Mib:
    def __init__(self, text):
        text = re.sub(r"--.*", "", text)
        text = re.sub(r'"[^"]*"', lambda quoted: '"' + "\n" * quoted[0].count("\n") + '"', text)
        self.text = text
        self.arcs = {"duetMIB": ()}
        self.enums, self.objects, self.notifications = {}, [], []
        self.take_base()
        self.take_enums()
        self.take_nodes()

    def refuse(self, at, what):
        sys.exit(f"DUET-MIB.txt:{self.text.count(chr(10), 0, at) + 1}: {what}")

    def take_base(self):
        found = BASE.search(self.text)
        if not found:
            self.refuse(0, "the base of the MIB is not { enterprises NAME(N) … N }")
        inner = [int(number) for number in re.findall(r"\((\d+)\)", found[1])]
        self.base = [1, 3, 6, 1, 4, 1, *inner, int(found[2])]

    def take_enums(self):
        for found in re.finditer(r"(\w+) ::= TEXTUAL-CONVENTION(?:(?!::=).)*?SYNTAX\s+INTEGER \{(.*?)\}", self.text, re.S):
            values = re.findall(r"(\w+)\((\d+)\)", found[2])
            if [int(number) for _, number in values] != list(range(1, len(values) + 1)):
                self.refuse(found.start(), f"the values of {found[1]} do not count from 1")
            self.enums[found[1]] = [word for word, _ in values]

    def take_nodes(self):
        pattern = (r"^(\w+) +(OBJECT IDENTIFIER|OBJECT-TYPE|NOTIFICATION-TYPE|OBJECT-GROUP|NOTIFICATION-GROUP"
                   r"|MODULE-COMPLIANCE)\b(.*?)::= \{ (\w+) (\d+) \}")
        for found in re.finditer(pattern, self.text, re.S | re.M):
            name, kind, body, parent, number = found.groups()
            if parent not in self.arcs:
                self.refuse(found.start(), f"the parent {parent} of {name} does not stand before it")
            self.arcs[name] = (*self.arcs[parent], int(number))
            if kind == "OBJECT-TYPE":
                self.take_object(found.start(), name, body)
            elif kind == "NOTIFICATION-TYPE":
                listed = re.search(r"OBJECTS\s*\{(.*?)\}", body, re.S)[1]
                self.notifications.append((name, [word.strip() for word in listed.split(",")]))

    def take_object(self, at, name, body):
        syntax = re.search(r"SYNTAX\s+(SEQUENCE OF \w+|\w+)", body)[1]
        access = re.search(r"MAX-ACCESS\s+(\S+)", body)[1]
        if access == "not-accessible":
            return
        kind = "INTEGER" if syntax in self.enums else SYNTAXES.get(syntax)
        if not kind:
            self.refuse(at, f"the syntax {syntax} of {name} is not known to generate.py")
        self.objects.append((name, kind, access))


def header(mib):
    yield "/* Made by trapd/generate.py from DUET-MIB.txt. */"
    yield "#pragma once"
    yield '#include "trapd/mib_node.h"'
    yield ""
    for name, words in sorted(mib.enums.items()):
        prefix = "MIB_VALUE_" + constant("duet" + name.removeprefix("Duet").removesuffix("TC"))[4:]
        yield f"enum {{ {', '.join(f'{prefix}_{constant(word)[4:]} = {n}' for n, word in enumerate(words, 1))} }};"
    yield ""
    yield "/* Objects that are read, or that notifications carry; index into mib_objects. */"
    yield "enum mib_object {"
    yield from (f"    {constant(name)}," for name, _, _ in mib.objects)
    yield "    MIB_OBJECTS"
    yield "};"
    yield ""
    yield "/* Notifications; index into mib_notifications. */"
    yield "enum mib_notification {"
    yield from (f"    {constant(name).replace('MIB_', 'MIB_TRAP_', 1)}," for name, _ in mib.notifications)
    yield "    MIB_NOTIFICATIONS"
    yield "};"
    yield ""
    yield f"enum {{ MIB_BASE_LENGTH = {len(mib.base)} }};"
    yield "extern const uint32_t mib_base[MIB_BASE_LENGTH];"
    yield "extern const struct mib_node mib_objects[MIB_OBJECTS];"
    yield "extern const struct mib_trap mib_notifications[MIB_NOTIFICATIONS];"
    yield "extern const struct mib_words mib_words[];"


def node(mib, name, kind):
    arcs = mib.arcs[name]
    return f'{{"{name}", MIB_KIND_{kind}, {len(arcs)}, {{{", ".join(map(str, arcs))}}}}}'


def source(mib, out):
    yield "/* Made by trapd/generate.py from DUET-MIB.txt. */"
    yield f'#include "trapd/{out}"'
    yield ""
    yield f"const uint32_t mib_base[MIB_BASE_LENGTH] = {{{', '.join(map(str, mib.base))}}};"
    yield "const struct mib_node mib_objects[MIB_OBJECTS] = {"
    yield from (f"    {node(mib, name, kind)}," for name, kind, _ in mib.objects)
    yield "};"
    yield "const struct mib_trap mib_notifications[MIB_NOTIFICATIONS] = {"
    for name, objects in mib.notifications:
        yield f"    {{{node(mib, name, 'NONE')}, {len(objects)}, {{{', '.join(map(constant, objects))}}}}},"
    yield "};"
    yield "const struct mib_words mib_words[] = {"
    for name, words in sorted(mib.enums.items()):
        quoted = ", ".join(f'"{word}"' for word in words)
        yield f'    {{"{name}", {len(words)}, {{{quoted}}}}},'
    yield "    {NULL, 0, {NULL}}};"


def main():
    mib_file, header_file, source_file = sys.argv[1:]
    with open(mib_file, encoding="utf-8") as file:
        mib = Mib(file.read())
    with open(header_file, "w", encoding="utf-8") as file:
        file.write("\n".join(header(mib)) + "\n")
    with open(source_file, "w", encoding="utf-8") as file:
        file.write("\n".join(source(mib, "mib.h")) + "\n")


main()
