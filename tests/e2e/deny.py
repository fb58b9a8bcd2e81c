"""Runs a command with some system calls denied, as container runtimes and old kernels deny them, or as a user who may
lock little memory.

    deny.py NUMBER[,NUMBER...][:ERRNO] COMMAND [ARGUMENT...]
    deny.py memlock:KIB COMMAND [ARGUMENT...]            needs root, to become a user who is held to the limit
"""
import ctypes, os, resource, struct, sys

LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, DENY, EPERM = 0x7FFF0000, 0x00050000, 1
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, MODE_FILTER = 38, 22, 2
NOBODY = 65534


def deny(numbers, errno):
    steps = [(LOAD, 0, 0, 0)]
    for index, number in enumerate(numbers):
        steps.append((EQUAL, len(numbers) - index, 0, number))
    steps += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, DENY | errno)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in ((PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, MODE_FILTER, ctypes.byref(program), 0, 0)):
        if libc.prctl(*arguments) != 0:
            sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")


what, _, detail = sys.argv[1].partition(":")
if what == "memlock":
    limit = int(detail) * 1024
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (limit, limit))
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
else:
    deny([int(number) for number in what.split(",")], int(detail or EPERM))
os.execv(sys.argv[2], sys.argv[2:])
