#!/usr/bin/env python3
"""Makes proto/vectors/heartbeat.txt: heartbeats and records sealed by a second implementation, written from heartbeat.md alone.

usage: heartbeat.py > heartbeat.txt

It shares nothing with the C code: fields, keys (BLAKE2b) and XChaCha20-Poly1305 are done here in plain Python, so that
the C code and this one can only agree if both do what the page says. Slow, and not for secrets.
"""
import hashlib
import struct

M32 = 0xFFFFFFFF


def fnv1a(name):
    h = 2166136261
    for byte in name.encode():
        h = ((h ^ byte) * 16777619) & M32
    return h


def derive(master, subkey, context, size):
    return hashlib.blake2b(b"", digest_size=size, key=master, salt=struct.pack("<Q", subkey) + bytes(8),
                           person=context + bytes(8)).digest()


def rotate(x, n):
    return ((x << n) | (x >> (32 - n))) & M32


def quarter(s, a, b, c, d):
    s[a] = (s[a] + s[b]) & M32
    s[d] = rotate(s[d] ^ s[a], 16)
    s[c] = (s[c] + s[d]) & M32
    s[b] = rotate(s[b] ^ s[c], 12)
    s[a] = (s[a] + s[b]) & M32
    s[d] = rotate(s[d] ^ s[a], 8)
    s[c] = (s[c] + s[d]) & M32
    s[b] = rotate(s[b] ^ s[c], 7)


def rounds(state):
    s = list(state)
    for _ in range(10):
        for lane in range(4):
            quarter(s, lane, lane + 4, lane + 8, lane + 12)
        for lane in range(4):
            quarter(s, lane, (lane + 1) % 4 + 4, (lane + 2) % 4 + 8, (lane + 3) % 4 + 12)
    return s


CONSTANTS = struct.unpack("<4I", b"expand 32-byte k")


def hchacha20(key, nonce16):
    s = rounds(list(CONSTANTS) + list(struct.unpack("<8I", key)) + list(struct.unpack("<4I", nonce16)))
    return struct.pack("<8I", *(s[:4] + s[12:]))


def chacha20(key, nonce12, counter, data):
    out = bytearray()
    for at in range(0, len(data), 64):
        state = list(CONSTANTS) + list(struct.unpack("<8I", key)) + [counter] + list(struct.unpack("<3I", nonce12))
        block = struct.pack("<16I", *((a + b) & M32 for a, b in zip(rounds(state), state)))
        out += bytes(x ^ y for x, y in zip(data[at:at + 64], block))
        counter += 1
    return bytes(out)


def poly1305(key, message):
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    sum_ = 0
    for at in range(0, len(message), 16):
        sum_ = (sum_ + int.from_bytes(message[at:at + 16] + b"\1", "little")) * r % (2**130 - 5)
    return ((sum_ + int.from_bytes(key[16:], "little")) % 2**128).to_bytes(16, "little")


def pad16(data):
    return data + bytes(-len(data) % 16)


def seal(key, nonce24, bound, plain):
    subkey = hchacha20(key, nonce24[:16])
    nonce12 = bytes(4) + nonce24[16:]
    text = chacha20(subkey, nonce12, 1, plain)
    tag_key = chacha20(subkey, nonce12, 0, bytes(32))
    return text + poly1305(tag_key, pad16(bound) + pad16(text) + struct.pack("<QQ", len(bound), len(text)))


ROLES = ["passive", "active"]
PHASES = ["searching", "passive", "claiming", "active", "offering", "releasing"]
OFFERS = ["none", "offered", "forced"]
PREFERS = ["none", "self", "peer"]
FLAGS = ["whole", "held", "unfit", "released", "suspicious", "silent", "takes_silent", "takes_records"]
NEVER = 2**53


def body(v):
    flags = sum(1 << i for i, name in enumerate(FLAGS) if v[name])
    out = struct.pack(">BBBBH", ROLES.index(v["role"]), PHASES.index(v["phase"]), OFFERS.index(v["offer"]),
                      PREFERS.index(v["prefers"]), flags)
    out += struct.pack(">11Q", v["epoch"], v["next_epoch"], v["arbiter_age_us"], v["lease_us"], v["phase_age_us"],
                       v["change"], v["considered"], v["hold_version"], v["hold_left_ms"], v["data_epoch"], v["data_generation"])
    out += struct.pack(">IIQ", v["services_failed"], v["late_us"], v["config_hash"])
    out += struct.pack(">QQ", v["path_count"], v["stamp"])
    out += struct.pack(">Q8sQQQQ", v["echo_start"], bytes.fromhex(v["echo_random"]), v["echo_sequence"],
                       v["echo_path_sequence"], v["echo_stamp"], v["echo_held_us"])
    out += bytes([len(v["channels"])])
    for name, mac, usable, age in v["channels"]:
        out += struct.pack(">I6sBQ", fnv1a(name), bytes.fromhex(mac.replace(":", "")), usable, age)
    return out


def datagram(v):
    context = b"duet-hb\0"
    master = bytes.fromhex(v["cluster_key"])
    magic, plain = (b"DURC", v["record"].encode()) if "record" in v else (b"DUHB", body(v))
    header = struct.pack(">4sIBBBBHHQ8sQ", magic, fnv1a(v["cluster"]), 1, 1, 1, derive(master, 3, context, 16)[0],
                         len(plain) + 16, 0, v["start"], bytes.fromhex(v["random"]), v["sequence"])
    bound = header
    for name in (v["cluster"], v["path"]):
        bound += bytes([len(name)]) + name.encode()
    bound += bytes([v["direction"]])
    return header + seal(derive(master, v["direction"], context, 32), header[16:40], bound, plain)


FIRST = {
    "cluster_key": bytes(range(32)).hex(), "cluster": "gate", "path": "reserved", "direction": 1,
    "start": 1, "random": "0001020304050607", "sequence": 1,
    "role": "passive", "phase": "searching", "offer": "none", "prefers": "none",
    **{flag: 0 for flag in FLAGS},
    "epoch": 0, "next_epoch": 0, "arbiter_age_us": NEVER, "lease_us": 0, "phase_age_us": 0, "change": 0,
    "considered": 0, "hold_version": 0, "hold_left_ms": 0, "data_epoch": 0, "data_generation": 0, "services_failed": 0, "late_us": 0, "config_hash": 0,
    "path_count": 1, "stamp": 0, "echo_start": 0, "echo_random": "0000000000000000", "echo_sequence": 0,
    "echo_path_sequence": 0, "echo_stamp": 0, "echo_held_us": 0, "channels": [],
}

SECOND = {
    **FIRST, "cluster": "gate", "path": "outside", "direction": 2,
    "start": 1790000000, "random": "f0e1d2c3b4a59687", "sequence": 123456789,
    "role": "active", "phase": "offering", "offer": "forced", "prefers": "peer",
    "whole": 1, "held": 1, "suspicious": 1, "silent": 1, "takes_silent": 1, "takes_records": 1,
    "epoch": 17, "next_epoch": 19, "arbiter_age_us": 1234, "lease_us": 198765, "phase_age_us": 86400000000,
    "change": 1790000123, "considered": 1780000456, "hold_version": 4, "hold_left_ms": 60000, "data_epoch": 16, "data_generation": 987654321, "services_failed": 2,
    "late_us": 73, "config_hash": 0x0123456789ABCDEF, "path_count": 41152263, "stamp": 0xFEDCBA9876543210,
    "echo_start": 42, "echo_random": "8899aabbccddeeff", "echo_sequence": 555, "echo_path_sequence": 554,
    "echo_stamp": 1122334455667788, "echo_held_us": 31415,
    "channels": [("outside", "02:00:00:00:00:01", 1, 1500), ("inside", "02:00:00:00:00:02", 0, NEVER)],
}

THIRD = {
    **SECOND, "cluster_key": hashlib.sha256(b"duet").hexdigest(), "cluster": "x", "path": "lan-15", "direction": 1,
    "start": NEVER, "random": "ffffffffffffffff", "sequence": NEVER, "role": "passive", "phase": "releasing",
    "offer": "none", "prefers": "self", **{flag: 1 for flag in FLAGS}, "epoch": NEVER,
    "channels": [(f"lan-{i}", f"02:00:00:00:01:{i:02x}", i % 2, i * 1000) for i in range(16)],
}

PLACE = ("cluster_key", "cluster", "path", "direction", "start", "random", "sequence")
RECORD = {**{name: SECOND[name] for name in PLACE}, "sequence": 123456790, "record": '{"node":"bêta","taken":7}'}
LONGEST = {**{name: THIRD[name] for name in PLACE}, "sequence": NEVER - 1, "record": '{"reason":"' + "€" * 379 + 'a"}'}


def main():
    print("# Made by heartbeat.py: sealed heartbeats and records, and what is in them. One field a line, an empty line ends a vector.")
    for v in (FIRST, SECOND, THIRD, RECORD, LONGEST):
        print()
        for name, value in v.items():
            if name == "channels":
                for channel in value:
                    print("channel", *channel)
            else:
                print(name, value)
        print("datagram", datagram(v).hex())


main()
