"""Mistakes in a config, told in one line: where, what, and what to write instead.

pydantic says where in the models a mistake is; here that is walked back to the place in the file,
through discriminated unions (whose tags pydantic adds to the path) and plain ones.
"""

import json
from dataclasses import dataclass
from difflib import get_close_matches
from math import isfinite
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from orchestrator.yaml_source import ConfigError, DataPath, Document, Place

Mistake = tuple[Place, str]


@dataclass(frozen=True, slots=True)
class Found:
    """One of pydantic's errors, walked back to the data."""

    details: ErrorDetails
    path: DataPath
    owner: Any
    """Type of what holds the last step of the path; the union, for a missing or wrong tag."""
    choices: tuple[tuple[DataPath, str], ...]
    """Unions on the way: where, and the tag of the member that was tried."""


def config_error(error: ValidationError, model: type[BaseModel], document: Document) -> ConfigError:
    """The mistakes of one document as a ConfigError: one a line, in their order in the file."""
    errors = [details for details in error.errors(include_url=False) if not _is_echo(details)]
    found = [_walk(details, model) for details in errors]
    unique = dict.fromkeys(m for one in _meant(found) for m in _mistakes(one, document))
    meant = {text.split('did you mean "')[-1][:-2] for _, text in unique}
    kept = [m for m in unique if m[1].split('missing key "')[-1][:-1] not in meant]
    ordered = sorted(kept, key=lambda m: (m[0].line, m[0].column))
    return ConfigError("\n".join(f"{place} {text}" for place, text in ordered))


def _is_echo(details: ErrorDetails) -> bool:
    """Whether a list is called too short only because one of its entries is wrong."""
    least = details.get("ctx", {}).get("min_length")
    return details["type"] == "too_short" and len(details["input"]) >= int(least or 0)


def _mistakes(found: Found, document: Document) -> list[Mistake]:
    """Place and text of one of pydantic's errors, or of all that our check of a whole found."""
    if found.details["type"] != "inconsistent":
        return [_mistake(found, document)]
    each = found.details["ctx"]["mistakes"]
    return [(document.place((*found.path, *path)), text) for path, text in each]


def _mistake(found: Found, document: Document) -> Mistake:
    details, path, owner = found.details, found.path, found.owner
    ctx = details.get("ctx", {})
    kind = details["type"]
    if details["loc"][-1:] == ("[key]",):
        told = f'{_dotted(path[:-1])}the name "{path[-1]}" {_allowed(details)}'
        return document.place(path, of_key=True), told
    if kind == "extra_forbidden":
        return document.place(path, of_key=True), _unknown_key(str(path[-1]), owner)
    if kind == "missing":
        return document.place(path[:-1]), f'{_dotted(path[:-1])}missing key "{path[-1]}"'
    if kind == "union_tag_not_found":
        return document.place(path), f'{_dotted(path)}missing key "type": use {_tags(owner)}'
    if kind == "union_tag_invalid":
        path = (*path, "type")
        return document.place(path), _refusal(path, ctx["tag"], f"use {_tags(owner)}")
    if kind == "value_error":
        words = str(ctx["error"])
        field = (*path, words.split(" ")[0])  # the message begins with the field to change
        at = field if field in document.values else path
        return document.place(at), f"{_dotted(path)}{words}"
    return document.place(path), _refusal(path, details["input"], _allowed(details))


def _walk(details: ErrorDetails, model: Any) -> Found:
    """Turn pydantic's path, which also names the members of unions, into the data's."""
    path: DataPath = ()
    owner = here = model
    choices: list[tuple[DataPath, str]] = []
    for step in details["loc"]:
        members = _members(here)
        if len(members) > 1:
            here = _member(members, str(step))
            choices.append((path, str(step)))
        elif step != "[key]":
            owner, path = members[0], (*path, step)
            here = _child(owner, step)
    union = details["type"].startswith("union_tag")
    return Found(details, path, here if union else owner, tuple(choices))


def _meant(found: list[Found]) -> list[Found]:
    """Of errors of several members of one union, those of the member that came furthest."""
    best: dict[DataPath, tuple[int, str]] = {}
    for one in found:
        for path, tag in one.choices:
            shallow = one.path == path and one.details["type"].endswith("_type")
            rank = 0 if shallow else 1 + len(one.path)
            if path not in best or rank > best[path][0]:
                best[path] = (rank, tag)
    return [one for one in found if all(best[path][1] == tag for path, tag in one.choices)]


def _members(annotation: Any) -> list[Any]:
    """The types that a value may have, without None and Annotated."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, UnionType):
        return [m for a in get_args(annotation) for m in _members(a) if m is not type(None)]
    return [annotation]


def _member(members: list[Any], tag: str) -> Any:
    """The member of a union that pydantic's tag means."""
    models = _models(members)
    named = [m for m in models if tag in _tag_values(m) or m.__name__ in tag]
    return named[0] if named else next((m for m in members if m not in models), None)


def _models(members: list[Any]) -> list[type[BaseModel]]:
    return [m for m in members if isinstance(m, type) and issubclass(m, BaseModel)]


def _tag_values(model: type[BaseModel]) -> tuple[Any, ...]:
    tag = model.model_fields.get("type")
    return get_args(tag.annotation) if tag and get_origin(tag.annotation) is Literal else ()


def _child(owner: Any, step: str | int) -> Any:
    if isinstance(owner, type) and issubclass(owner, BaseModel):
        known = owner.model_fields.get(str(step))
        return known.annotation if known else None
    arguments = [a for a in get_args(owner) if a is not Ellipsis]
    return arguments[-1] if arguments else None


def _unknown_key(key: str, owner: Any) -> str:
    known = list(owner.model_fields) if hasattr(owner, "model_fields") else []
    near = get_close_matches(key, known, n=1, cutoff=0.6)
    if near:
        return f'unknown key "{key}", did you mean "{near[0]}"?'
    return f'unknown key "{key}": known here are {", ".join(known)}'


def _tags(union: Any) -> str:
    models = _models(_members(union))
    tags = [str(value) for model in models for value in _tag_values(model)]
    return " or ".join([", ".join(tags[:-1]), tags[-1]] if tags[:-1] else tags)


def _dotted(path: DataPath) -> str:
    return ".".join(map(str, path)) + ": " if path else ""


def _refusal(path: DataPath, value: Any, allowed: str) -> str:
    shown = json.dumps(value, ensure_ascii=False, default=str)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    return f"{'.'.join(map(str, path))} is {shown}: {allowed}"


_BOUNDS = {
    "greater_than": ("gt", "must be above"),
    "greater_than_equal": ("ge", "must be at least"),
    "less_than": ("lt", "must be below"),
    "less_than_equal": ("le", "must be at most"),
    "multiple_of": ("multiple_of", "must be a multiple of"),
    "string_pattern_mismatch": ("pattern", "must match"),
    "too_short": ("min_length", "needs entries, at least"),
    "too_long": ("max_length", "has too many entries, at most"),
    "string_too_short": ("min_length", "needs characters, at least"),
    "string_too_long": ("max_length", "has too many characters, at most"),
}
_KINDS = {
    "int": "use a whole number",
    "float": "use a number",
    "bool": "use true or false",
    "string": "use text",
    "list": "use a list",
    "tuple": "use a list",
    "dict": "use a mapping of keys to values",
    "model": "use a mapping of keys to values",
    "finite_number": "use a finite number",
}


def _allowed(details: ErrorDetails) -> str:
    """What may stand there instead."""
    kind, ctx = details["type"], details.get("ctx", {})
    if isinstance(details["input"], float) and not isfinite(details["input"]):
        return "use a finite number"
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        bound = ctx[key]
        return f"{words} {bound:g}" if isinstance(bound, float) else f"{words} {bound}"
    if kind == "literal_error":
        return "use " + str(ctx["expected"]).replace("'", "")
    return _KINDS.get(kind, _KINDS.get(kind.split("_")[0], details["msg"]))
