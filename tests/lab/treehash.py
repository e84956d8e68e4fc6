"""The root of a set's hash tree, computed anew from what lies on the disk.

A second implementation of "Hashes" in proto/sync.md, so that what `syncd` says of a generation can be held against what
everybody sees. It knows of one root, and of none that is excluded.
"""
import ctypes
import ctypes.util
import grp
import os
import pwd
import stat
import struct

BLOCK = 16 << 10
SECRET_BYTES = 192
FILE, DIRECTORY, SYMLINK, HARDLINK = 1, 2, 3, 4
TRAVELS = ("user.", "system.posix_acl_")


class _Hash128(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


_sodium = ctypes.CDLL(ctypes.util.find_library("sodium"))
_xxhash = ctypes.CDLL(ctypes.util.find_library("xxhash"))
_xxhash.XXH3_128bits_withSecret.restype = _Hash128
_xxhash.XXH3_128bits_withSecret.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t]
_sodium.crypto_kdf_derive_from_key.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint64, ctypes.c_char_p, ctypes.c_char_p]
_sodium.randombytes_buf_deterministic.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]


def _text1(text):
    return bytes([len(text)]) + text


def _owner(names, number):
    try:
        return names(number)[0].encode()
    except KeyError:
        return b"#%d" % number


def _xattrs(path):
    """As a meta has them."""
    try:
        names = sorted(name for name in os.listxattr(path, follow_symlinks=False) if name.startswith(TRAVELS))
        pairs = [(os.fsencode(name), os.getxattr(path, name, follow_symlinks=False)) for name in names]
    except OSError:
        return b""
    return b"".join(struct.pack(">H", len(name)) + name + struct.pack(">I", len(value)) + value for name, value in pairs)


class TreeHash:
    """For the pair that has this cluster key."""

    def __init__(self, key_file):
        with open(key_file, "rb") as file:
            key = file.read()
        seed, secrets = ctypes.create_string_buffer(32), ctypes.create_string_buffer(3 * SECRET_BYTES)
        if _sodium.sodium_init() < 0:
            raise OSError("libsodium")
        _sodium.crypto_kdf_derive_from_key(seed, 32, 1, b"synchash", key)
        _sodium.randombytes_buf_deterministic(secrets, len(secrets), seed.raw)
        self._contents, self._lists, self._entries = (secrets.raw[i * SECRET_BYTES:(i + 1) * SECRET_BYTES] for i in range(3))

    @staticmethod
    def _hash(secret, data, size=None, offset=0):
        at = ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value + offset
        value = _xxhash.XXH3_128bits_withSecret(at, len(data) if size is None else size, secret, SECRET_BYTES)
        return struct.pack(">QQ", value.high, value.low)

    def content(self, data):
        """Of a file (of at most 4 GiB, which is 2^18 blocks)."""
        if len(data) <= BLOCK:
            return self._hash(self._contents, data)
        blocks = [self._hash(self._contents, data, min(BLOCK, len(data) - at), at) for at in range(0, len(data), BLOCK)]
        return self._hash(self._lists, b"".join(blocks))

    def _entry(self, path, kind, status, content, file):
        itself = kind != HARDLINK
        mode = stat.S_IMODE(status.st_mode) if kind in (FILE, DIRECTORY) else 0
        head = struct.pack(">BHqQ", kind, mode, status.st_mtime_ns if itself else 0, status.st_size if kind == FILE else 0)
        xattrs = self._hash(self._contents, _xattrs(file)) if itself else bytes(16)
        owners = [_owner(pwd.getpwuid, status.st_uid), _owner(grp.getgrgid, status.st_gid)] if itself else [b"", b""]
        return self._hash(self._entries, head + content + xattrs + b"".join(map(_text1, owners)) + path)

    def look(self, top):
        """Two things: the root (as hexadecimal digits) of the tree at `top`, and {path: hash} of the contents of its files."""
        total, contents, inodes = 0, {}, {}
        for path, file in sorted(_walk(top)):
            status = os.lstat(file)
            kind, content = FILE, bytes(16)
            first = inodes.setdefault((status.st_dev, status.st_ino), path)
            if stat.S_ISDIR(status.st_mode):
                kind = DIRECTORY
            elif stat.S_ISLNK(status.st_mode):
                kind, content = SYMLINK, self._hash(self._contents, os.readlink(os.fsencode(file)))
            elif first != path:
                kind, content = HARDLINK, self._hash(self._contents, first)
            else:
                with open(file, "rb") as opened:
                    content = contents[path] = self.content(opened.read())
            total += int.from_bytes(self._entry(path, kind, status, content, file), "big")
        return "%032x" % (total % (1 << 128)), contents


def _walk(top):
    """(path in the set, path here) of all that travels."""
    if os.path.lexists(top):
        yield b"0", top
    for directory, directories, files in os.walk(top):
        directories[:] = [name for name in directories if not name.startswith(".duet~")]
        for name in directories + [name for name in files if not name.startswith(".duet~")]:
            file = os.path.join(directory, name)
            yield b"0/" + os.fsencode(os.path.relpath(file, top)), file
