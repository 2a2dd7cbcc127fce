"""What a pool and a server say to each other: one packet a message, the first byte says which."""

import struct

READY = b"H"
"""The server has its guards and takes jobs."""
REPLY = b"R"
TROUBLE = b"T"
"""The server could not do it; text follows. Says nothing about the program."""
REFUSED = b"X"
"""The server cannot guard programs at all; text follows, and the server ends."""

JOB = struct.Struct("<dQQQQ")
"""wall_s, cpu_s, memory_bytes, output_bytes, the program's size; with it come four descriptors:
program, stdin, stdout, stderr."""

OUTCOME = struct.Struct("<BBidddQ")
"""stage, whether the server killed it, wait status, user and system CPU seconds, wall seconds,
peak bytes."""

PACKET_BYTES = 4096

# How a program ended, as its child notes it in a page that it shares with its server.
RUNNING = 0
FINISHED = 1
EXITED = 2
RAISED = 3
OUT_OF_MEMORY = 4
