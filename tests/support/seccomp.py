# SPDX-License-Identifier: MIT
"""seccomp.py NR:ERRNO COMMAND...: run COMMAND under a filter that answers system call NR with ERRNO."""
import ctypes
import os
import struct
import sys

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, FILTER_MODE = 22, 38, 2
LOAD, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06
ERRNO, ALLOW = 0x00050000, 0x7FFF0000


def main():
    number, errno = (int(part) for part in sys.argv[1].split(":"))
    steps = [
        struct.pack("HBBI", LOAD, 0, 0, 0),
        struct.pack("HBBI", JUMP_EQUAL, 0, 1, number),
        struct.pack("HBBI", RETURN, 0, 0, ERRNO | errno),
        struct.pack("HBBI", RETURN, 0, 0, ALLOW),
    ]
    code = ctypes.create_string_buffer(b"".join(steps))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(steps), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, FILTER_MODE, program, 0, 0):
        sys.exit("no seccomp filter: " + os.strerror(ctypes.get_errno()))
    os.execv(sys.argv[2], sys.argv[2:])


main()
