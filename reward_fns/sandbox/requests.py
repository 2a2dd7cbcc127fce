"""Programs and inputs as bytes; what is too large is a result, as text of a model never raises."""

from dataclasses import dataclass

from reward_fns.sandbox.limits import Limits, Result


@dataclass(frozen=True, slots=True)
class Request:
    """A program and its input, and what the run may use."""

    program: bytes
    stdin: bytes
    limits: Limits


def make_request(program: str, stdin: str | bytes, limits: Limits) -> Request | Result:
    """Return the request, or the result of what cannot be one."""
    # A lone surrogate, which UTF-8 has no bytes for, fails where the program is read or reads it.
    source = program.encode("utf-8", "surrogatepass")
    data = stdin.encode("utf-8", "surrogatepass") if isinstance(stdin, str) else bytes(stdin)
    for name, content in (("the program", source), ("stdin", data)):
        if len(content) > limits.input_bytes:
            told = f"{name} is {len(content)} bytes: input_bytes allows {limits.input_bytes}\n"
            return Result("error", b"", told.encode(), None, 0.0, 0.0, 0)
    return Request(source, data, limits)
