#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Make the seeds of the fuzz target tree_cursor: tree_cursor.corpus/*.

The format is in tree_cursor.c. Kinds are numbered as in enum tree_op_kind of
../support/tree_ops.h, which is read, so that a new kind needs no change here;
only run this again then.
"""
import os
import re

HERE = os.path.dirname(os.path.abspath(__file__))


def kinds():
    text = open(os.path.join(HERE, "../support/tree_ops.h"), encoding="utf-8").read()
    body = re.search(r"enum tree_op_kind \{(.*?)\n\};", text, re.S)[1]
    names = [n for n in re.findall(r"^\tOP_(\w+)", body, re.M) if n not in ("RARE", "KINDS")]
    return {name.lower(): i for i, name in enumerate(names)}


KIND = kinds()


def n(number):
    """An operand that stands for a number."""
    if number < 0x80:
        return bytes([number])
    if number < 0x100:
        return bytes([0xb8, number])
    return bytes([0xb0]) + number.to_bytes(8, "big")


def op(name, *operands, value=0x107):
    """One operation; operands are numbers, or bytes as they shall be."""
    out = bytes([KIND[name], value >> 8, value & 255])
    for o in operands:
        out += o if isinstance(o, bytes) else n(o)
    return out


TOP = 2**64 - 1


def fill(count, step, length):
    return b"".join(op("store_range", i * step, i * step + length - 1, value=0x100 + i * 32 + 7)
                    for i in range(count))


def seeds():
    yield "small", b"\1" + op("store", 0, 0) + op("walk", 0) + op("find", TOP) + op("erase", 0, 0)
    yield "leaf_full", b"\0" + fill(20, 5, 3) + op("store_range", 31, 33) + op("find_rev", 0) * 8
    yield "leaves", b"\2" + fill(60, 9, 6) + op("set", 100) + op("next", TOP) * 30 + op("prev", 0) * 40
    yield "spanning", b"\3" + fill(60, 9, 6) + op("mas_store", 11, 470) + op("next_range", TOP) * 5
    yield "null_store", b"\3" + fill(50, 16, 8) + op("null_range", 20, 700) + op("null_range", 0, TOP)
    yield "gaps", (b"\1" + fill(40, 16, 8) + op("gap", 0, TOP, 9) + op("gap_rev", 0, 600, 8) +
                   op("gap_store", 0, TOP, 8) * 20 + op("alloc_rrange", 0, 700, 3) * 10)
    yield "cyclic", b"\1" + op("alloc_cyclic", 3, 12, 1) * 12 + op("erase", 5, 0) + op("alloc_cyclic", 3, 12, 1)
    yield "top", (b"\1" + op("store", TOP, 0) + op("store_range", TOP - 1, TOP) + op("mas_erase", TOP, 0) +
                  op("gap_rev", 0, TOP, 1) + op("find_rev", 0))
    yield "sweeps", b"\2" + fill(50, 7, 4) + op("sweep_erase", 0, 350, 15) + op("sweep_store", 0, 350, 15)
    yield "dup", b"\3" + fill(45, 8, 8) + op("dup", 100, 0) + op("pause", 0, 0) + op("find_range", TOP) * 3
    yield "prealloc", (b"\2" + fill(30, 10, 5) + op("prealloc", 33, 200, 0) + op("prealloc", 40, 60, 1) +
                       op("prealloc_drop", 3, 250, 0) + op("mas_store_here", 5, 7))


def main():
    folder = os.path.join(HERE, "tree_cursor.corpus")
    os.makedirs(folder, exist_ok=True)
    for name, data in seeds():
        with open(os.path.join(folder, name), "wb") as f:
            f.write(data)


if __name__ == "__main__":
    main()
