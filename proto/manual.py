#!/usr/bin/env python3
"""Makes duet-monitor(7) from its frame, topics.toml, and the table of metrics in monitord/metrics.c.

usage: manual.py FRAME.7.in TOPICS.toml METRICS.c OUT.7

A line @TOPICS@ of the frame becomes every topic with all its fields, @RECORDS@ what lists are made of, @METRICS@ every
metric. So the manual cannot say anything else than the programs.
"""
import re
import sys
import tomllib

from generate import Field, messages


def escaped(text):
    """Plain text as roff: no line begins with a control character, and backslashes and dashes are meant."""
    text = text.replace("\\", "\\e").replace("'", "\\(aq")
    return re.sub(r"(?m)^([.'])", r"\\&\1", text)


def sentence(text):
    text = text[0].upper() + text[1:]
    return escaped(text if text.endswith(".") else text + ".")


def type_of(field, doc):
    if field.kind == "bool":
        return ".Pq bool\n"
    if field.kind == "text":
        return ".Pq text\n"
    if field.kind == "int":
        unit = {"ns": "ns", "us": "us", "ms": "ms", "permille": "per mille"}.get(field.name.rpartition("_")[2])
        return ".Pq int%s\n" % (", " + unit if unit else "")
    if field.kind == "enum":
        return ".Po " + " ,\n".join(".Ql " + value if i else "one of\n.Ql " + value
                                    for i, value in enumerate(doc["enum"][field.args[0]]["values"])) + "\n.Pc\n"
    return ".Pq list of at most %s: %s\n" % (field.args[1], escaped(field.args[0]))


def fields(entry, doc):
    lines = [".Bl -tag -width Ds -compact\n"]
    for row in entry["fields"]:
        field = Field(row)
        lines.append(".It Li %s\n%s%s\n" % (field.name, type_of(field, doc), sentence(field.doc)))
    return "".join(lines) + ".El\n"


def topics(doc):
    for _, area, entry in messages(doc):
        if not area:
            continue
        name = area + ("/NAME" if entry.get("named") else "")
        owner = "every daemon" if entry["from"] == "*" else entry["from"]
        live = "It proves that its sender looked at that moment; it is sent again many times a second.\n" if entry.get("live") else ""
        yield ".Ss %s\nFrom %s.\n%s\n%s.Pp\n%s" % (name, owner, sentence(entry["doc"]), live, fields(entry, doc))


def records(doc):
    for name, entry in doc["record"].items():
        used = any(Field(row).args[:1] == [name] for _, area, topic in messages(doc) if area for row in topic["fields"])
        if used:
            yield ".It Li %s\n%s\n%s" % (name, sentence(entry["doc"]), fields(entry, doc))


ROW = re.compile(r'\{"(duet_\w+)",\s*(GAUGE|COUNTER|AGE|LEFT|STATE),\s*&\w+,\s*"\w+",\s*(NULL|"\w+"),\s*(NULL|"\w+"),'
                 r'\s*[\w.]+,\s*((?:"[^"]*"\s*)+)\}')
HEAD = re.compile(r'put_head\(\w+,\s*"(duet_\w+)",\s*"gauge",\s*((?:"[^"]*"\s*)+)\)')


def joined(literals):
    return "".join(re.findall(r'"([^"]*)"', literals))


def metrics(source):
    others = [(name, "gauge", [], joined(text)) for name, text in HEAD.findall(source)]
    rows = []
    for name, kind, label, second, text in ROW.findall(source):
        labels = [one.strip('"') for one in (label, second) if one != "NULL"] + (["state"] if kind == "STATE" else [])
        rows.append((name, "counter" if kind == "COUNTER" else "gauge", labels, joined(text)))
    for name, kind, labels, text in sorted(others + rows):
        shown = " , ".join(labels)
        yield ".It Li %s%s\n%s.\n%s\n" % (name, " Pq Li " + shown if shown else "", kind.capitalize(), sentence(text))


def main():
    frame, toml, table, out = sys.argv[1:]
    with open(toml, "rb") as file:
        doc = tomllib.load(file)
    with open(table, encoding="utf-8") as file:
        source = file.read()
    parts = {"@TOPICS@\n": topics(doc), "@RECORDS@\n": records(doc), "@METRICS@\n": metrics(source)}
    with open(frame, encoding="utf-8") as file, open(out, "w", encoding="utf-8") as result:
        for line in file:
            result.write("".join(parts[line]) if line in parts else line)


if __name__ == "__main__":
    main()
