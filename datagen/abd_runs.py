"""Runs programs in the sandbox: many of our own in one request, strangers' one by one.

Programs of the grammar are our own text on our own inputs, and read, compute and print alone, so a
request may hold many (program, inputs) pairs, which is many times as fast as a process for each: a
harness inside the sandbox runs each with a namespace, stdin and stdout of its own. What the sandbox
ends early is halved until the one program that is to blame is alone.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reward_fns.sandbox import Limits, Result, SandboxError, shared_sandbox

JOBS, JOB_CHARS = 192, 250_000
"""Most programs of one request, and most characters of programs and inputs."""

HARNESS = """\
import io, json, sys

def run(code, text):
    sys.stdin, sys.stdout = io.StringIO(text), io.StringIO()
    try:
        exec(code, {"__name__": "__main__"})
    except BaseException:
        return None
    return sys.stdout.getvalue()

def job(program, inputs, most):
    try:
        code = compile(program, "<program>", "exec")
    except (SyntaxError, ValueError):
        return [None] * (len(inputs) + 1)
    first = run(code, inputs[0])
    outputs = [first, *(run(code, text) for text in inputs[1:])]
    lines = [line.rstrip() for line in (first or "").rstrip().split("\\n")]
    outputs.append(run(code, "\\n".join(lines) + "\\n") if first else None)
    return [text if text is None else text[:most] for text in outputs]

console = sys.stdout
jobs, most = json.load(sys.stdin)
results = [job(program, inputs, most) for program, inputs in jobs]
sys.stdout = console
json.dump(results, sys.stdout)
"""
"""Reads `[[[program, inputs], ...], characters]`; prints, for each program, its outputs on the
inputs and at last on its own first output, None where it fails, each cut to so many characters."""


@dataclass(frozen=True, slots=True)
class Job:
    """A program and the inputs to run it on."""

    program: str
    inputs: tuple[str, ...]

    @property
    def num_chars(self) -> int:
        """What it takes of a request."""
        return len(self.program) + sum(map(len, self.inputs))


Outputs = list[str | None]
"""The outputs of a program, None where it failed; the last is that on its own first output."""


def run_jobs(jobs: Sequence[Job], limits: Limits, most_chars: int) -> list[Outputs]:
    """Run programs of our own on their inputs, many in a request, spread over the sandbox.

    Outputs are cut after `most_chars` characters. Raises SandboxError if the sandbox fails.
    """
    outputs: list[Outputs] = [[] for _ in jobs]
    batches = list(_batches(jobs))
    while batches:
        requests = [
            json.dumps([[(jobs[place].program, jobs[place].inputs) for place in batch], most_chars])
            for batch in batches
        ]
        results = run_alone([(HARNESS, request) for request in requests], limits)
        retried: list[list[int]] = []
        for batch, result in zip(batches, results, strict=True):
            if result.status == "ok":
                for place, own in zip(batch, json.loads(result.stdout), strict=True):
                    outputs[place] = own
            elif len(batch) > 1:
                middle = len(batch) // 2
                retried += [batch[:middle], batch[middle:]]
            else:
                outputs[batch[0]] = [None] * (len(jobs[batch[0]].inputs) + 1)
        batches = retried
    return outputs


def run_alone(runs: Sequence[tuple[str, str]], limits: Limits) -> list[Result]:
    """Run programs one by one; raises SandboxError if the sandbox fails for one, again and again.

    A dataset must not depend on trouble of the sandbox, so none is passed over.
    """
    results = []
    for result in shared_sandbox().run_many(list(runs), limits):
        if result is None:
            raise SandboxError("the sandbox failed while a dataset was made: see `clutch doctor`")
        results.append(result)
    return results


def output_text(result: Result) -> str | None:
    """Return what a run printed, None if it did not end well or printed no text."""
    if result.status != "ok":
        return None
    try:
        return result.stdout.decode()
    except UnicodeDecodeError:
        return None


def _batches(jobs: Sequence[Job]) -> Iterator[list[int]]:
    """Cut jobs into requests, as places."""
    batch: list[int] = []
    num_chars = 0
    for place, job in enumerate(jobs):
        if batch and (len(batch) == JOBS or num_chars + job.num_chars > JOB_CHARS):
            yield batch
            batch, num_chars = [], 0
        batch.append(place)
        num_chars += job.num_chars
    if batch:
        yield batch
