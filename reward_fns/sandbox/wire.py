"""What a pool and a server say to each other: one packet a message, the first byte says which."""

import struct

READY = b"H"
"""The server has its guards and takes jobs."""
REPLY = b"R"
"""All runs of the job are done: the results hold a record for each."""
TROUBLE = b"T"
"""The server could not go on; text follows. Says nothing about the program."""
REFUSED = b"X"
"""The server cannot guard programs at all; text follows, and the server ends."""

JOB = struct.Struct("<dQQQQ")
"""wall_s, cpu_s, memory_bytes, output_bytes, the number of runs; with it come two descriptors: the
job's file, which holds the places of the program, of each input and of the end, and then the
program and the inputs; and the file of its results, a record and its bytes for each run."""
PLACE = struct.Struct("<Q")

RECORD = struct.Struct("<BBidddQQQ")
"""stage, whether the server killed it, wait status, user and system CPU seconds, wall seconds,
peak bytes, bytes of stdout and of stderr; these follow. One for each run, in order."""

PACKET_BYTES = 4096
MAX_RUNS = 64
"""Most runs of one job."""

# How a run ended, as its process notes it in a page of its own.
RUNNING = 0
FINISHED = 1
EXITED = 2
RAISED = 3
OUT_OF_MEMORY = 4
NEEDS_LIBRARY = 5
