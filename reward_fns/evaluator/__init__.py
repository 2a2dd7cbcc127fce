"""Evaluates plain programs inside a process that has no sandbox: nothing is compiled or executed.

A program's syntax tree is walked over values of the built-in types, within a budget of steps that
every operation pays for by the size of what it reads or makes. So what an input can do to such a
program is bounded in time and memory. What is not known here is refused: imports, classes, `try`,
`with`, formatting by `%` and `format`, and every name or method that is not listed.

run          run_program(program, stdin) -> what it printed; evaluable(program)
statements   how statements are done
expressions  how expressions are valued, and the program's own functions called
scope        where names are
functions    the built-in functions that there are
methods      the methods that there are
operators    arithmetic and comparisons
machine      the budget, standard input and output
"""
