#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Make the seeds of the fuzz target uffd_ioctl: uffd_ioctl.corpus/*.

The format is in uffd_ioctl.c: kinds are places in its table of calls, and each seed is what one
handler does. Run this again when the format changes.
"""
import os

HERE = os.path.dirname(os.path.abspath(__file__))
MAP, CHANGE, CREATE, ACCESS, IOCTL, READ, FORK, SCAN = 0, 1, 2, 3, 4, 8, 9, 10
(API, REGISTER, UNREGISTER, WAKE, COPY, MOVE, ZEROPAGE, CONTINUE, WRITEPROTECT, POISON) = range(10)
MISSING, WP, MINOR = 1, 2, 4
HOST = bytes([0xf0])  # bytes of the host's that may be read


def page(n):
    return bytes([n])


def num(n):
    return bytes([0x80 + n])


def size(pages):
    """Bytes: a power of four, and no more than 4 KiB besides."""
    for power in range(32):
        if pages * 4096 == 1 << power * 2:
            return bytes([0xc0 + power, 0])
    raise ValueError(pages)


def mapped(how, first, pages):
    return bytes([MAP, 0, how, first, pages - 1])


def created(features, flags=2):
    return bytes([CREATE, 0, flags, 0]) + features.to_bytes(3, "big")


def request(which, *operands):
    operands = list(operands) + [num(0)] * (5 - len(operands))
    return bytes([IOCTL, 0, which]) + b"".join(operands)


def registered(first, pages, mode):
    return request(REGISTER, page(first), size(pages), num(mode))


def access(write, first, length=1):
    return bytes([ACCESS, 0, write | (length - 1) << 4]) + page(first)


def change(how, first, pages, *more):
    return bytes([CHANGE, 0, how, first, pages - 1, *more])


def read(n=4):
    return bytes([READ, 0, n]) + bytes([1, 0] * n)


def scan(mode, returned=0xff):
    return bytes([SCAN, mode << 6, returned, 0])


ANON, SHMEM, PRIVATE_SHMEM = 0, 3, 1
FORK_EVENT, REMAP_EVENT, REMOVE_EVENT, UNMAP_EVENT = 2, 4, 8, 64

SEEDS = {
    "copy": mapped(ANON, 0, 64) + created(0) + registered(0, 16, MISSING) + access(1, 3) + read() +
    request(COPY, page(3), HOST, size(1)) + access(1, 3) +
    request(COPY, page(2), HOST, size(4)) + request(COPY, page(8), HOST, size(1), num(3)),
    "copy_guest": mapped(ANON, 0, 16) + created(0, 6) + registered(0, 16, MISSING) +
    request(COPY, page(0), page(8), size(4)) + request(COPY, page(4), page(63), size(4)),
    "zero_wake": mapped(ANON, 0, 16) + created(0) + registered(0, 16, MISSING) + access(0, 1) +
    read(0) + request(ZEROPAGE, page(0), size(4), num(1)) + request(WAKE, page(0), size(16)) +
    access(0, 1) + request(UNREGISTER, page(0), size(16)),
    "minor": mapped(SHMEM, 0, 16) + access(1, 2) + created(0) + registered(0, 16, MINOR | MISSING) +
    change(3 | 2 << 2, 4, 4) + access(0, 5) + read() + request(CONTINUE, page(2), size(1)) +
    request(CONTINUE, page(4), size(4)) + request(COPY, page(4), HOST, size(1)),
    "protect": mapped(ANON, 0, 16) + access(1, 2) + created(0) + registered(0, 16, WP | MISSING) +
    request(WRITEPROTECT, page(0), size(16), num(1)) + access(1, 2) + read() +
    change(1 | 4, 0, 4) + request(WRITEPROTECT, page(0), size(4), num(0)) + access(1, 2),
    "protect_file": mapped(SHMEM, 0, 16) + access(1, 2) + created(0) + registered(0, 16, WP) +
    request(WRITEPROTECT, page(0), size(16), num(1)) + change(3, 0, 8) + access(1, 2) + read() +
    change(0, 2, 2) + request(UNREGISTER, page(0), size(16)),
    "async_scan": mapped(ANON, 0, 16) + access(1, 2) + created(0x8000) + registered(0, 16, WP) +
    scan(3) + access(1, 2) + access(1, 3) + scan(1) + scan(0),
    "poison": mapped(ANON, 0, 16) + created(0) + registered(0, 16, MISSING) +
    request(POISON, page(0), size(4)) + access(0, 1) + bytes([FORK, 0]) + change(3, 0, 16) +
    access(0, 1),
    "move": mapped(ANON, 0, 32) + access(1, 16) + access(1, 17) + created(0) +
    registered(0, 16, MISSING) + request(MOVE, page(0), page(16), size(4), num(2)) +
    bytes([FORK, 0]) + request(MOVE, page(4), page(0), size(4)),
    "forked": mapped(ANON, 0, 16) + created(FORK_EVENT) + registered(0, 16, MISSING) +
    bytes([FORK, 0]) + read(1) + bytes([FORK, 1]) + access(0, 1) + read(4) +
    request(ZEROPAGE, page(0), size(4)),
    "events": mapped(ANON, 0, 64) + created(REMAP_EVENT | REMOVE_EVENT | UNMAP_EVENT) +
    registered(0, 64, MISSING | WP) + change(3, 0, 4) + read(1) +
    change(2 | 4, 4, 4, 7, 32) + request(COPY, page(0), HOST, size(1)) + read(4) +
    change(0, 16, 16) + read(4),
    "lengths": mapped(ANON, 0, 16) + created(0) + request(REGISTER, page(0), b"\xe8\x00", num(7)) +
    request(COPY, b"\xe8\x10", HOST, b"\xdf\x00") + request(API, num(0)) +
    request(ZEROPAGE, page(0), num(0)) + request(15, b"\xe0" + bytes(range(8))),
}


def main():
    folder = os.path.join(HERE, "uffd_ioctl.corpus")
    os.makedirs(folder, exist_ok=True)
    for name, data in SEEDS.items():
        with open(os.path.join(folder, name), "wb") as to:
            to.write(data)


if __name__ == "__main__":
    main()
