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

_CALL = """
def _main():
    import ast, contextlib, copy, io, sys

    types = (str, bytes, list, tuple, dict, set, frozenset, int, float)
    methods = {name for kind in types for name in dir(kind) if not name.startswith("_")}
    plain = (
        ast.Constant, ast.Tuple, ast.List, ast.Set, ast.Dict, ast.UnaryOp, ast.BinOp, ast.BoolOp,
        ast.Compare, ast.IfExp, ast.Subscript, ast.Slice, ast.Name, ast.Attribute, ast.Call,
        ast.Lambda, ast.arguments, ast.arg, ast.expr_context, ast.operator, ast.unaryop,
        ast.boolop, ast.cmpop,
    )
    data = {
        name: copy.deepcopy(value)
        for name, value in globals().items()
        if not name.startswith("_") and isinstance(value, types)
    }

    def evaluate(node):
        try:
            return ast.literal_eval(node)
        except ValueError:
            pass
        for part in ast.walk(node):
            name = getattr(part, "id", getattr(part, "arg", ""))
            method = isinstance(part, ast.Attribute) and part.attr not in methods
            if not isinstance(part, plain) or name.startswith("_") or method:
                raise ValueError("an argument is no plain expression")
        names = {"__builtins__": {}, "range": range, **data}
        return eval(compile(ast.Expression(node), "<input>", "eval"), names)

    call = ast.parse("f(" + sys.stdin.read() + "\\n)", mode="eval").body
    if not (isinstance(call, ast.Call) and getattr(call.func, "id", "") == "f"):
        raise ValueError("the input is no list of arguments")
    args = [evaluate(node) for node in call.args]
    options = {option.arg: evaluate(option.value) for option in call.keywords}
    with contextlib.redirect_stdout(io.StringIO()):
        result = _canonical(f(*args, **options))
    print(result)


_main()
"""

_EXPECTED = """
import ast, sys

print(_canonical(ast.literal_eval(sys.stdin.read().strip())))
"""

EXPECTED_PROGRAM = f"{CANONICAL}\n{_EXPECTED}"
"""Reads a recorded output and prints it as programs print their results."""


def cruxeval_program(code: str) -> str:
    """Return the program of a function `f`: it reads arguments and prints the canonical result."""
    return f"{code.rstrip()}\n\n{CANONICAL}\n{_CALL}"
