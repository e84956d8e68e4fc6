#!/usr/bin/env python3
"""Makes topics.h, topics.c and the JSON Schemas from topics.toml.

usage: generate.py TOPICS.toml OUT.h OUT.c SCHEMA.json

One description, four products: nothing else in duet spells out a message's fields.
"""
import json
import sys
import tomllib

EXACT_MAX, WIDE_MAX = 2**53, 2**63 - 1  # the first: what every JSON reader takes exactly

ENVELOPE = {
    "v": {"const": 1, "description": "version of the envelope"},
    "node": {"type": "string", "description": "node that sent it"},
    "from": {"type": "string", "description": "daemon that sent it"},
    "seq": {"type": "integer", "minimum": 1, "description": "per daemon, from 1"},
    "at": {"type": "string", "format": "date-time", "description": "UTC, with microseconds"},
    "mono_ns": {"type": "integer", "minimum": 0, "maximum": WIDE_MAX, "description": "CLOCK_BOOTTIME"},
    "cause": {"type": "string", "pattern": "^[a-z]+:[0-9]+$", "description": "DAEMON:SEQ that led to this one"},
}


def ident(text):
    return text.replace("-", "_")


class Field:
    def __init__(self, row, ageing=()):
        self.name, self.type, self.doc = row
        self.ageing = self.name in ageing
        self.optional = self.type.endswith("?")
        self.type = self.type.rstrip("?")
        self.kind, *self.args = self.type.split(":")
        if self.kind not in ("bool", "int", "text", "enum", "list"):
            sys.exit(f"topics.toml: field {self.name}: unknown type {self.type}; bool, int, text:N, enum:NAME or list:RECORD:MAX")

    def most(self):
        """The largest number. A time in nanoseconds is beyond what doubles hold exactly 104 days after the boot."""
        return WIDE_MAX if self.name.endswith("_ns") else EXACT_MAX

    def c_member(self):
        member = ident(self.name)
        return {
            "bool": lambda: f"bool {member};",
            "int": lambda: f"int64_t {member};",
            "text": lambda: f"char {member}[{self.args[0]}];",
            "enum": lambda: f"enum {self.args[0]} {member};",
            "list": lambda: f"size_t {member}_count;\n    struct {self.args[0]} {member}[{self.args[1]}];",
        }[self.kind]()

    def descriptor(self, struct):
        member = ident(self.name)
        row = f'.name = "{self.name}", .kind = FIELD_{self.kind.upper()}, .offset = offsetof(struct {struct}, {member})'
        if self.kind == "text":
            row += f", .size = {self.args[0]}"
        elif self.kind == "enum":
            row += f", .names = {self.args[0]}_names, .size = {self.args[0].upper()}_COUNT"
        elif self.kind == "list":
            row += (f", .size = {self.args[1]}, .count_offset = offsetof(struct {struct}, {member}_count)"
                    f", .record = &{self.args[0]}_record")
        if self.optional:
            row += ", .optional = true"
        if self.most() > EXACT_MAX:
            row += ", .wide = true"
        if self.ageing:
            row += ", .ageing = true"
        return "    {" + row + "},"

    def schema(self, doc):
        base = {"description": self.doc}
        if self.kind == "bool":
            return {"type": "boolean", **base}
        if self.kind == "int":
            return {"type": "integer", "minimum": 0, "maximum": self.most(), **base}
        if self.kind == "text":
            return {"type": "string", "maxLength": int(self.args[0]) - 1, **base}
        if self.kind == "enum":
            return {"enum": doc["enum"][self.args[0]]["values"], **base}
        record = doc["record"][self.args[0]]
        return {"type": "array", "maxItems": int(self.args[1]), "items": object_schema(record, doc, {}), **base}


def object_schema(entry, doc, envelope):
    properties = dict(envelope)
    fields = [Field(row) for row in entry["fields"]]
    properties.update({f.name: f.schema(doc) for f in fields})
    optional = {"cause"} if envelope else set()
    optional.update(f.name for f in fields if f.optional)
    required = [name for name in properties if name not in optional]
    return {"type": "object", "description": entry["doc"], "properties": properties,
            "required": required, "additionalProperties": False}


def fields_of(entry):
    """Its fields; what it calls ageing must be among them, and a number."""
    ageing = entry.get("ageing", [])
    fields = [Field(row, ageing) for row in entry["fields"]]
    for name in ageing:
        if name not in (f.name for f in fields if f.kind == "int"):
            sys.exit(f"topics.toml: ageing names {name}, which is not an int among the fields beside it")
    return fields


def ages(entry, doc):
    return "ageing" in entry or any(f.kind == "list" and ages(doc["record"][f.args[0]], doc) for f in fields_of(entry))


def messages(doc):
    """(C name, topic area or None, entry) of every topic and command, in the order of the file."""
    for name, entry in doc["topic"].items():
        subtopics = {k: v for k, v in entry.items() if isinstance(v, dict)}
        yield name, entry.get("topic", name), entry
        for sub, subentry in subtopics.items():
            yield f"{name}_{sub}", subentry["topic"], subentry
    for name, entry in doc["message"].items():
        yield name, None, entry


def write_header(doc, out):
    w = out.write
    w("/* Made by proto/generate.py from proto/topics.toml: change that, not this. */\n#pragma once\n"
      '#include <stdbool.h>\n#include <stddef.h>\n#include <stdint.h>\n\n#include "proto/codec.h"\n')
    for name, enum in doc["enum"].items():
        w(f"\nenum {name} {{\n")
        for value in enum["values"]:
            w(f"    {name.upper()}_{ident(value).upper()},\n")
        w(f"    {name.upper()}_COUNT\n}};\nextern const char *const {name}_names[];\n")
    for name, record in doc["record"].items():
        write_struct(w, name, record)
    for name, _, entry in messages(doc):
        write_struct(w, f"{name}_message", entry)
        w(f"extern const struct message_type {name}_type;\n")
    w("\n/* Every topic's type, ended by NULL. */\nextern const struct message_type *const topic_types[];\n")


def write_struct(w, name, entry):
    w(f"\n/* {entry['doc']} */\nstruct {name} {{\n")
    for row in entry["fields"]:
        field = Field(row)
        w(f"    /* {field.doc} */\n    {field.c_member()}\n")
    w("};\n")


def write_source(doc, out):
    w = out.write
    w('/* Made by proto/generate.py from proto/topics.toml: change that, not this. */\n#include "proto/topics.h"\n')
    for name, enum in doc["enum"].items():
        values = ", ".join(f'"{v}"' for v in enum["values"])
        w(f"\nconst char *const {name}_names[] = {{{values}, NULL}};\n")
    for name, record in doc["record"].items():
        write_descriptor(w, name, name, record)
    types = []
    for name, area, entry in messages(doc):
        struct = f"{name}_message"
        write_descriptor(w, name, struct, entry)
        named, live = ("true" if entry.get(key) else "false" for key in ("named", "live"))
        topic = f'"{area}"' if area else "NULL"
        owner = f'"{entry["from"]}"' if area else "NULL"
        ageing = "true" if ages(entry, doc) else "false"
        w(f"const struct message_type {name}_type = {{.topic = {topic}, .owner = {owner}, .named = {named}, .live = {live}, "
          f".ages = {ageing}, .record = &{name}_record}};\n")
        if area:
            types.append(f"&{name}_type")
    w(f"\nconst struct message_type *const topic_types[] = {{{', '.join(types)}, NULL}};\n")


def write_descriptor(w, name, struct, entry):
    w(f"\nstatic const struct field {name}_fields[] = {{\n")
    for field in fields_of(entry):
        w(field.descriptor(struct) + "\n")
    w(f"    {{0}}}};\nstatic const struct record {name}_record = "
      f"{{.fields = {name}_fields, .size = sizeof(struct {struct})}};\n")


def write_schema(doc, out):
    definitions = {}
    for name, area, entry in messages(doc):
        envelope = ENVELOPE if area else {}
        schema = object_schema(entry, doc, envelope)
        if area:
            schema["title"] = f"{area}/NAME" if entry.get("named") else area
        definitions[name] = schema
    json.dump({"$schema": "https://json-schema.org/draft/2020-12/schema",
               "title": "duet: the messages on the bus", "$defs": definitions}, out, indent=2, ensure_ascii=False)
    out.write("\n")


def main():
    source, header, code, schema = sys.argv[1:]
    with open(source, "rb") as f:
        doc = tomllib.load(f)
    with open(header, "w", encoding="utf-8") as f:
        write_header(doc, f)
    with open(code, "w", encoding="utf-8") as f:
        write_source(doc, f)
    with open(schema, "w", encoding="utf-8") as f:
        write_schema(doc, f)


if __name__ == "__main__":
    main()
