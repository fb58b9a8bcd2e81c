"""Runs a command with some system calls denied (EPERM), as container runtimes deny them, or with no locked memory.

    deny.py NUMBER[,NUMBER...]|memlock COMMAND [ARGUMENT...]
"""
import ctypes, os, resource, struct, sys

LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, DENY = 0x7FFF0000, 0x00050001
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, MODE_FILTER = 38, 22, 2


def deny(numbers):
    steps = [(LOAD, 0, 0, 0)]
    for index, number in enumerate(numbers):
        steps.append((EQUAL, len(numbers) - index, 0, number))
    steps += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, DENY)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in ((PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, MODE_FILTER, ctypes.byref(program), 0, 0)):
        if libc.prctl(*arguments) != 0:
            sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")


if sys.argv[1] == "memlock":
    # Root is not held to the limit, and the ring's memory counts against it on newer kernels only; both are what is
    # wanted to be seen, so the calls are denied as well where the limit alone would not do.
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (16384, 16384))
    if os.getuid() == 0:
        deny([425])
else:
    deny([int(number) for number in sys.argv[1].split(",")])
os.execv(sys.argv[2], sys.argv[2:])
