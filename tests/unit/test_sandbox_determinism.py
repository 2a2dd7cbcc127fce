"""The same program and input give the same bytes: on every server, in both modes, every time."""

from collections.abc import Iterator

import pytest

from reward_fns.sandbox import Sandbox

NUM_SERVERS = 3
PROGRAMS = {
    "sets": "print({'b', 'a', 'c', None, 1.5, int, print, (1, 'x')})",
    "hashes": "print(hash('a'), hash(None), hash((1, 'x')), hash(print), id(object()))",
    "random": "import random\nprint(random.random(), random.sample(range(100), 5))",
    "time zone": "import time\nprint(time.localtime(0), time.tzname, time.strftime('%Z'))",
    "dates": "from datetime import datetime\nprint(datetime.fromtimestamp(0))",
    "locale": "import locale, sys\nprint(locale.getpreferredencoding(), sys.stdout.encoding)",
    "formats": "print(f'{1234567.891:n}', 'ä€', repr('ä€'))",
    "environment": "import os, sys\nprint(os.environ, os.getcwd(), sys.argv, sys.flags)",
    "names": "print(sorted(globals()), __doc__, __spec__)",
    "machine": "import os, platform\nprint(os.uname(), platform.platform(), os.cpu_count())",
    "limits": "import sys\nprint(sys.getrecursionlimit(), sys.get_int_max_str_digits())",
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(NUM_SERVERS) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def other() -> Iterator[Sandbox]:
    with Sandbox(1, "unsafe") as sandbox:
        yield sandbox


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_server_prints_the_same(name: str, sandbox: Sandbox, other: Sandbox) -> None:
    # Each is busy for a moment, so that all of them take part.
    program = PROGRAMS[name] + "\nimport time\ntime.sleep(0.02)"
    results = sandbox.run_many([(program, "")] * 4 * NUM_SERVERS)
    if name != "hashes":  # unsafe mode makes no filters, and so has other addresses
        results.append(other.run(program))
    assert {result.status for result in results if result} == {"ok"}
    assert len({result.stdout for result in results if result}) == 1


def test_a_program_finds_nothing_of_the_one_before(sandbox: Sandbox) -> None:
    poison = (
        "import builtins, random, sys, os\nrandom.seed(1)\nbuiltins.len = None\nos.x = 1\n"
        "sys.setrecursionlimit(50)\nsys.modules['math'] = None\nbuiltins.left = 'here'"
    )
    question = (
        "import random, sys, math, os\n"
        "print(random.random(), len('abc'), sys.getrecursionlimit(), 'left' in globals(),"
        " hasattr(os, 'x'), hasattr(__builtins__, 'left'))"
    )
    before = sandbox.run_many([(question, "")] * NUM_SERVERS)
    assert {r.status for r in sandbox.run_many([(poison, "")] * 2 * NUM_SERVERS) if r} == {"ok"}
    assert sandbox.run_many([(question, "")] * NUM_SERVERS) != []
    after = sandbox.run_many([(question, "")] * NUM_SERVERS)
    assert {r.stdout for r in before if r} == {r.stdout for r in after if r}
    assert {r.status for r in after if r} == {"ok"}
