"""The journal's catalog: what `journalctl -x` says of duet's lines. Usage: catalog.py TEXT, on standard output.

TEXT has an entry for each event, led by `[EVENT] SUBJECT`; the id follows from the event's name as in common/log.c."""

import hashlib
import re
import sys


def message_id(event):
    digest = bytearray(hashlib.blake2b(("duet/" + event).encode(), digest_size=16).digest())
    digest[6] = digest[6] & 0x0F | 0x40
    digest[8] = digest[8] & 0x3F | 0x80
    return digest.hex()


def entries(text):
    """(event, subject, text), in their order."""
    parts = re.split(r"^\[([a-z/-]+)\] (.*)$", text, flags=re.MULTILINE)
    return [(parts[i], parts[i + 1], parts[i + 2].strip()) for i in range(1, len(parts), 3)]


def main():
    with open(sys.argv[1]) as file:
        found = entries(file.read())
    for event, subject, text in found:
        print("-- %s\nSubject: %s\nDefined-By: duet\nDocumentation: man:duet(8)\n\n%s\n" % (message_id(event), subject, text))


if __name__ == "__main__":
    main()
