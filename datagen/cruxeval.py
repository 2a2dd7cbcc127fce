"""CRUXEval's input prediction as an ordinary ABD problem: a program that calls f on its input.

An answer is right iff f(answer) equals the recorded output. The program reads the arguments as
literals, calls f and prints the result in a form in which equal values are equal texts (True is 1
is 1.0, sets and dictionaries are sorted), so that no object made by an answer is ever compared.
Beside literals an argument may be a plain expression of literals: operators, methods of built-in
types, lambda, range, and data that the code defines; some of CRUXEval's own inputs are such.
"""

CANONICAL = """
def _canonical(value):
    if isinstance(value, complex) and not value.imag:
        value = value.real
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int):
        return int.__repr__(value + 0)
    if isinstance(value, (float, complex)):
        if value != value:
            raise ValueError("nan equals nothing")
        return repr(value + 0)
    if isinstance(value, str):
        return str.__repr__(value)
    if isinstance(value, (bytes, bytearray)):
        return repr(bytes(value))
    if isinstance(value, list):
        return "[" + ", ".join(_canonical(item) for item in list.__iter__(value)) + "]"
    if isinstance(value, tuple):
        return "(" + "".join(_canonical(item) + ", " for item in tuple.__iter__(value)) + ")"
    if isinstance(value, dict):
        pairs = sorted((_canonical(key), _canonical(item)) for key, item in dict.items(value))
        return "{" + ", ".join(key + ": " + item for key, item in pairs) + "}"
    if isinstance(value, (set, frozenset)):
        kind = set if isinstance(value, set) else frozenset
        return "set(" + ", ".join(sorted(_canonical(item) for item in kind.__iter__(value))) + ")"
    if value is None or value is Ellipsis:
        return repr(value)
    raise TypeError("not a value of literals: " + type(value).__name__)
"""

PLAIN = """
def _arguments(text, names):
    import _ast

    plain = (
        _ast.Constant, _ast.Tuple, _ast.List, _ast.Set, _ast.Dict, _ast.UnaryOp, _ast.BinOp,
        _ast.BoolOp, _ast.Compare, _ast.IfExp, _ast.Subscript, _ast.Slice, _ast.Name, _ast.Load,
        _ast.Attribute, _ast.Call, _ast.Lambda, _ast.arguments, _ast.arg, _ast.operator,
        _ast.unaryop, _ast.boolop, _ast.cmpop,
    )
    types = (str, bytes, list, tuple, dict, set, frozenset, int, float)
    methods = {name for kind in types for name in dir(kind) if not name.startswith("_")}

    def check(node):
        name = getattr(node, "id", getattr(node, "arg", ""))
        method = isinstance(node, _ast.Attribute) and node.attr not in methods
        if not isinstance(node, plain) or name.startswith("_") or method:
            raise ValueError("an argument is no plain expression")
        for field in node._fields:
            value = getattr(node, field)
            for part in value if isinstance(value, list) else [value]:
                if isinstance(part, _ast.AST):
                    check(part)

    def evaluate(node):
        check(node)
        return eval(compile(_ast.Expression(node), "<input>", "eval"), dict(names))

    call = compile("f(" + text + "\\n)", "<input>", "eval", 0x400).body
    if not isinstance(call, _ast.Call) or getattr(call.func, "id", "") != "f":
        raise ValueError("the input is no list of arguments")
    options = {option.arg: evaluate(option.value) for option in call.keywords}
    return [evaluate(node) for node in call.args], options
"""
"""Evaluates the arguments of a call: 0x400 has `compile` parse only."""

_CALL = """
def _main():
    import copy, io, sys

    names = {"__builtins__": {}, "range": range, "set": set}
    for name, value in list(globals().items()):
        kinds = (str, bytes, list, tuple, dict, set, frozenset, int, float)
        if not name.startswith("_") and isinstance(value, kinds):
            names[name] = copy.deepcopy(value)
    arguments, options = _arguments(sys.stdin.read(), names)
    console, sys.stdout = sys.stdout, io.StringIO()
    result = _canonical(f(*arguments, **options))
    sys.stdout = console
    print(result)


_main()
"""

_EXPECTED = """
import sys

(_value,), _ = _arguments(sys.stdin.read(), {"__builtins__": {}, "set": set})
print(_canonical(_value))
"""

EXPECTED_PROGRAM = f"{CANONICAL}\n{PLAIN}\n{_EXPECTED}"
"""Reads a recorded output and prints it as programs print their results."""


def cruxeval_program(code: str) -> str:
    """Return the program of a function `f`: it reads arguments and prints the canonical result."""
    return f"{code.rstrip()}\n\n{CANONICAL}\n{PLAIN}\n{_CALL}"
