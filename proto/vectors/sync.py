#!/usr/bin/env python3
"""Makes proto/vectors/sync.txt: messages of syncd packed by a second implementation, written from sync.md alone.

usage: sync.py > sync.txt

It shares nothing with the C code. A vector is what is in a message, one field a line, and then its bytes; the operations
of a batch that is not compressed are listed, too. In texts, all but printable ASCII (and "\\" and " ") is written \\xNN.
"""
import hashlib
import struct

KINDS = ["hello", "set", "ask", "hashes", "entries", "blocks", "begin", "batch", "commit", "abort", "ack", "credit",
         "restore", "verify", "now", "lag", "key"]
OPERATIONS = ["put", "meta", "open", "block", "hole", "close", "move", "delete"]
TYPES = ["file", "directory", "symlink", "hardlink"]
ASKS = ["root", "group", "bucket", "blocks"]
FATES = ["durable", "applied", "refused", "again", "full"]
MOST = 2**53


class Vector:
    """Fields, as text and as bytes, in the order in which they are added."""

    def __init__(self):
        self.lines, self.bytes = [], b""

    def _line(self, name, value):
        self.lines.append(f"{name} {value}".rstrip())

    def number(self, name, value, size, signed=False):
        self._line(name, value)
        self.bytes += value.to_bytes(size, "big", signed=signed)

    def choice(self, name, value, names):
        self._line(name, value)
        self.bytes += bytes([names.index(value) + 1])

    def flags(self, **named):
        for name, value in named.items():
            self._line(name, int(value))
        self.bytes += bytes([sum(bool(value) << i for i, value in enumerate(named.values()))])

    def text(self, name, value, length_bytes):
        value = value.encode() if isinstance(value, str) else value
        self._line(name, "".join(chr(b) if 32 < b < 127 and b != 92 else f"\\x{b:02x}" for b in value))
        self.bytes += len(value).to_bytes(length_bytes, "big") + value

    def raw(self, name, value):
        self._line(name, value.hex())
        self.bytes += value

    def content(self, name, value):
        self._line(name, value.hex())
        self.bytes += struct.pack(">I", len(value)) + value

    def generation(self, name, value):
        self._line(name, f"{value[0]}:{value[1]}")
        self.bytes += struct.pack(">QQ", *value)

    def meta(self, m):
        self.choice("type", m["type"], TYPES)
        self.number("mode", m["mode"], 2)
        self.number("mtime_ns", m["mtime_ns"], 8, signed=True)
        self.number("uid", m["uid"], 4)
        self.number("gid", m["gid"], 4)
        self.text("owner", m["owner"], 1)
        self.text("group", m["group"], 1)
        attributes = Vector()
        for name, value in m["xattrs"]:
            attributes.text("xattr", name, 2)
            attributes.content("value", value)
        self.lines += attributes.lines
        self.bytes += struct.pack(">I", len(attributes.bytes)) + attributes.bytes


def h(text):
    """Some hash: only its bytes matter here."""
    return hashlib.sha256(text.encode()).digest()[:16]


def digest(data):
    return hashlib.blake2b(data, digest_size=32).digest()


def message(kind, session, number, fill):
    v = Vector()
    fill(v)
    lines = [f"kind {kind}", f"set {number}", f"session {session}"] + v.lines
    header = b"DUSY" + bytes([1, 1, 1, KINDS.index(kind) + 1]) + struct.pack(">HHQI", number, 0, session, len(v.bytes))
    print()
    print("\n".join(lines))
    print("bytes", (header + v.bytes).hex())


def hello(v, session, answers, active, epoch, node, sets):
    v.number("hello_session", session, 8)
    v.number("answers", answers, 8)
    v.flags(active=active)
    v.number("epoch", epoch, 8)
    v.text("node", node, 1)
    v.number("sets", sets, 2)


def set_(v, name, generation, entries, size, whole, log):
    v.text("name", name, 1)
    v.raw("roots", h("roots " + name))
    v.generation("generation", generation)
    v.raw("tree", h("tree " + name))
    v.number("entries", entries, 8)
    v.number("bytes_of_all", size, 8)
    v.flags(whole=whole)
    v.number("log_count", len(log), 1)
    for one in log:
        v.generation("log_generation", one)
        v.raw("log_tree", h(f"tree {one}"))


def ask(v, what, index, path):
    v.choice("what", what, ASKS)
    v.number("index", index, 2)
    v.text("path", path, 2)


def hashes(v, root, group):
    v.choice("what", "root" if root else "group", ASKS)
    v.number("index", group, 2)
    v.raw("hashes", b"".join(h(str(i)) for i in range(64)))


def entries(v, bucket, more, paths):
    v.number("bucket", bucket, 2)
    v.flags(more=more)
    v.number("count", len(paths), 4)
    for path in paths:
        v.text("path", path, 2)
        v.raw("hash", h("entry"))


def blocks(v, path, block, first, more, count):
    v.text("path", path, 2)
    v.raw("hash", h("content"))
    v.number("block", block, 4)
    v.number("first", first, 4)
    v.flags(more=more)
    v.raw("hashes", b"".join(h(str(i)) for i in range(count)))


def begin(v, generation, base, partial, restore, files, size):
    v.generation("generation", generation)
    v.generation("base", base)
    v.flags(partial=partial, restore=restore)
    v.number("files", files, 8)
    v.number("bytes_of_all", size, 8)


def commit(v, generation, whole):
    v.generation("generation", generation)
    v.raw("digest", digest(b"operations"))
    v.raw("tree", h("tree"))
    v.flags(whole=whole)


def ack(v, generation, fate, text):
    v.generation("generation", generation)
    v.choice("fate", fate, FATES)
    v.text("text", text, 2)


def verify(v, asked, files, size):
    v.flags(asked=asked)
    v.number("files", files, 8)
    v.number("bytes_of_all", size, 8)
    v.raw("digest", digest(b"") if not asked else bytes(32))


def put(v, path, meta, content):
    v.choice("op", "put", OPERATIONS)
    v.text("path", path, 2)
    v.meta(meta)
    v.raw("hash", h("content"))
    v.content("content", content)


def meta_alone(v, path, meta):
    v.choice("op", "meta", OPERATIONS)
    v.text("path", path, 2)
    v.meta(meta)
    v.raw("hash", h("was"))


def open_(v, path, meta, size, block, patch):
    v.choice("op", "open", OPERATIONS)
    v.text("path", path, 2)
    v.meta(meta)
    v.number("size", size, 8)
    v.number("block", block, 4)
    v.flags(patch=patch)
    if patch:
        v.raw("hash", h("was"))


def block_(v, offset, content):
    v.choice("op", "block", OPERATIONS)
    v.number("offset", offset, 8)
    v.content("content", content)


def hole(v, offset, size):
    v.choice("op", "hole", OPERATIONS)
    v.number("offset", offset, 8)
    v.number("size", size, 8)


def close(v):
    v.choice("op", "close", OPERATIONS)
    v.raw("hash", h("is"))


def move(v, path, to):
    v.choice("op", "move", OPERATIONS)
    v.text("path", path, 2)
    v.text("to", to, 2)


def delete(v, path):
    v.choice("op", "delete", OPERATIONS)
    v.text("path", path, 2)


PLAIN = {"type": "file", "mode": 0o644, "mtime_ns": 1790000000123456789, "uid": 0, "gid": 0, "owner": "root",
         "group": "root", "xattrs": []}
RICH = {"type": "file", "mode": 0o7777, "mtime_ns": -1, "uid": 2**32 - 1, "gid": 4242, "owner": "", "group": "x" * 33,
        "xattrs": [("system.posix_acl_access", bytes(range(44))), ("user.a", b""), ("user.a.b", b"\0"), ("user.b", b"v")]}
LONGEST = "9999" + "/" + "/".join(["n" * 255] * 15) + "/" + "m" * 251


def batch(v, operations):
    inner = Vector()
    for operation, *arguments in operations:
        operation(inner, *arguments)
    v.flags(compressed=False)
    v.number("raw_size", len(inner.bytes), 4)
    v.lines += inner.lines
    v.bytes += inner.bytes


def batch_compressed(v, raw_size, frame):
    v.flags(compressed=True)
    v.number("raw_size", raw_size, 4)
    v.raw("operations", frame)


ENTRIES_OF_ALL_TYPES = [
    (put, "0", {**PLAIN, "type": "directory", "mode": 0o755}, b""),
    (put, "0/conf", PLAIN, b"key = value\n"),
    (put, "0/empty", RICH, b""),
    (put, "0/link", {**PLAIN, "type": "symlink", "mode": 0o777}, b"../../etc/\xff target"),
    (put, "0/other", {**PLAIN, "type": "hardlink"}, b"0/conf"),
    (put, "12", {**PLAIN, "mtime_ns": -2**63}, bytes(range(256))),
    (meta_alone, b"0/\xff\xfe name \\", RICH),
    (move, "0/old", "0/old2"),
    (move, "0/a/b", "0/a.b"),
    (delete, "1/gone"),
    (delete, "0"),
]
FILE_IN_PIECES = [
    (open_, "3/big", PLAIN, 2**32, 16384, False),
    (block_, 0, b"begin"),
    (hole, 16384, 2**32 - 16385),
    (block_, 2**32 - 1, b"\n"),
    (close,),
    (open_, LONGEST, {**RICH, "mtime_ns": 2**63 - 1}, 2**48, 2**30, True),
    (block_, 2**48 - 1, b"\0"),
    (close,),
    (open_, "0/db", PLAIN, 0, 4096, True),
    (close,),
]


def lag(v, files, size, age):
    v.number("files", files, 8)
    v.number("bytes_of_all", size, 8)
    v.number("age_us", age, 8)


def main():
    print("# Made by sync.py: messages and what is in them. One field a line, an empty line ends a vector.")
    s = 0x8123456789ABCDEF
    log = [(17, 1790), (17, 1), (16, MOST)]
    message("hello", 0, 0, lambda v: hello(v, 1, 0, False, 0, "a", 0))
    message("hello", 0, 0, lambda v: hello(v, 2**64 - 1, 0xFEDCBA9876543210, True, MOST, "Node-2_x.example-of-31-letters.", 64))
    message("set", s, 0, lambda v: set_(v, "web", (0, 0), 0, 0, False, []))
    message("set", s, 63, lambda v: set_(v, "mail", (17, 1790), 1000000, MOST, True, log))
    message("set", s, 1, lambda v: set_(v, "full", (17, 64), 1, 2, True, [(17, 64 - i) for i in range(64)]))
    message("ask", s, 0, lambda v: ask(v, "root", 0, ""))
    message("ask", s, 1, lambda v: ask(v, "group", 63, ""))
    message("ask", s, 2, lambda v: ask(v, "bucket", 4095, ""))
    message("ask", s, 3, lambda v: ask(v, "blocks", 0, "0/var/big file"))
    message("hashes", s, 0, lambda v: hashes(v, True, 0))
    message("hashes", s, 0, lambda v: hashes(v, False, 63))
    message("entries", s, 0, lambda v: entries(v, 0, False, []))
    message("entries", s, 0, lambda v: entries(v, 4095, True, ["0", b"0/\x01\xc3\xa9", "1/...", "9999/.duet", LONGEST]))
    message("blocks", s, 0, lambda v: blocks(v, "0/gone", 16384, 0, False, 0))
    message("blocks", s, 0, lambda v: blocks(v, "7/x", 2**30, 2**18 - 3, True, 3))
    message("begin", s, 0, lambda v: begin(v, (1, 0), (0, 0), True, False, 3, 4096))
    message("begin", s, 0, lambda v: begin(v, (MOST, MOST), (MOST, MOST - 1), False, True, MOST, MOST))
    message("batch", s, 5, lambda v: batch(v, ENTRIES_OF_ALL_TYPES))
    message("batch", s, 5, lambda v: batch(v, FILE_IN_PIECES))
    message("batch", s, 5, lambda v: batch_compressed(v, 2**19, bytes.fromhex("28b52ffd") + bytes(9)))
    message("commit", s, 0, lambda v: commit(v, (17, 1791), True))
    message("commit", s, 0, lambda v: commit(v, (0, 1), False))
    message("abort", s, 4, lambda v: None)
    for fate in FATES:
        message("ack", s, 0, lambda v, f=fate: ack(v, (17, 1791), f, "" if f < "e" else f"validate: {f} \x7f\u00e9\n"))
    message("credit", s, 0, lambda v: v.number("credit", 33554432, 8))
    message("restore", s, 0, lambda v: v.generation("generation", (16, 12)))
    message("verify", s, 0, lambda v: verify(v, True, 0, 0))
    message("verify", s, 0, lambda v: verify(v, False, 12345, 67890))
    message("now", 2**64 - 1, 63, lambda v: None)
    message("lag", s, 2, lambda v: lag(v, 0, 0, 0))
    message("lag", s, 2, lambda v: lag(v, 12345, MOST, 1500000))
    message("key", s, 0, lambda v: v.text("key", b"", 1))
    message("key", s, 0, lambda v: v.text("key", digest(b"a key"), 1))


main()
