"""Evaluates plain programs inside a process that has no sandbox: nothing is compiled or executed.

A program's syntax tree is walked over values of the built-in types, within a budget of steps that
every operation pays for by the size of what it reads or makes, at the worst that an input can make
of it: keys whose hashes are all equal, texts that match but for their last character. So what an
input can do to such a program is bounded in time and memory.

A run that prints something prints what CPython does. Whatever cannot be done exactly so is refused:
imports, classes, `try`, `with`, formatting by `%` and `format`, every name or method that is not
listed, and what shows more of an object than its value (the order of a set, `is`, a function's
text).

run          run_program(program, stdin) -> what it printed; evaluable(program)
statements   how statements are done
expressions  how expressions are valued, and the program's own functions called
scope        where names are
functions    the built-in functions that there are
methods      the methods that there are
operators    arithmetic and comparisons
machine      the budget, standard input and output
"""
