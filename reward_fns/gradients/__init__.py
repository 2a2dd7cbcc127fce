"""Rewards in the signature of the Gradients platform, and their self-contained sources.

A reward function there is `def f(completions, extra_data=None, **kwargs)`, plain source with no
imports but its own body's, that returns a number for each completion.

sat, abd    the functions
extras      the JSON strings that reach them in `extra_data`
standalone  standalone_source("sat"): a function with all that it needs of this package
"""
