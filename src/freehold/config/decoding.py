"""TOML values into structs, with every problem collected instead of only the first.

msgspec decides what fits; this module walks the tables field by field so that each misfit is reported under its own
path, with what was found, what is valid and a likely spelling. Values that may be secrets are never repeated.
A table with a bad key or a bad optional value is kept without it, so that later checks can look at the rest.
"""

import types
from enum import Enum
from typing import Annotated, Literal, TypeVar, Union, cast, get_args, get_origin

import msgspec

from freehold.policy.problems import Problem, suggest

_S = TypeVar("_S", bound=msgspec.Struct)
_SHOWN_CHARS = 32
_PLAIN = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}

_SEVERAL = {str: "texts", int: "whole numbers", float: "numbers", bool: "true or false"}


class _Bad:
    """What a value that cannot be used decodes to."""


_BAD = _Bad()


class Decoded(msgspec.Struct, frozen=True):
    """Problems met on the way, and where the items that survived stood."""

    problems: list[Problem]
    kept: dict[str, list[int]]
    """For each top-level list: the indexes, in the file, of the items that could be used."""


def decode_file(table: dict[str, object], wanted: type[_S]) -> tuple[_S, Decoded]:
    """Decode a whole file into `wanted`, a struct whose fields all have defaults.

    What cannot be used is left out and reported, so that later checks can still look at the rest.
    """
    walk = _Walk()
    fields = {field.encode_name: field for field in msgspec.structs.fields(wanted)}
    values: dict[str, object] = {}
    for key, value in table.items():
        if key not in fields:
            walk.problems.append(Problem(key, f"unknown section '{key}'", suggest(key, fields)))
            continue
        taken = walk.items(value, fields[key].type, key)
        if not isinstance(taken, _Bad):
            values[fields[key].name] = taken
    return wanted(**values), Decoded(walk.problems, walk.kept)


class _Walk:
    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.kept: dict[str, list[int]] = {}

    def items(self, value: object, wanted: object, path: str) -> object:
        """As `take`, but a list loses just its bad items."""
        if get_origin(wanted) is not tuple or not isinstance(value, list):
            return self.take(value, wanted, path)
        taken = [self.take(item, get_args(wanted)[0], f"{path}[{index}]") for index, item in enumerate(value)]
        self.kept[path] = [index for index, item in enumerate(taken) if not isinstance(item, _Bad)]
        return tuple(item for item in taken if not isinstance(item, _Bad))

    def take(self, value: object, wanted: object, path: str) -> object:
        origin, arguments = get_origin(wanted), get_args(wanted)
        if origin in {Union, types.UnionType}:
            choices = [choice for choice in arguments if choice is not types.NoneType]
            if all(_is_struct(choice) for choice in choices):
                return self._struct(value, choices, path)
            fitting = [choice for choice in choices if _is_alike(value, choice)] or choices
            if len(fitting) == 1:
                return self.take(value, fitting[0], path)
        elif _is_struct(wanted):
            return self._struct(value, [wanted], path)
        elif origin is tuple and isinstance(value, list):
            items = [self.take(item, arguments[0], f"{path}[{index}]") for index, item in enumerate(value)]
            return _BAD if any(isinstance(item, _Bad) for item in items) else tuple(items)
        elif origin is dict and isinstance(value, dict):
            entries = {key: self.take(item, arguments[1], f'{path}."{key}"') for key, item in value.items()}
            return _BAD if any(isinstance(item, _Bad) for item in entries.values()) else entries
        return self._leaf(value, wanted, path)

    def _leaf(self, value: object, wanted: object, path: str) -> object:
        if isinstance(value, dict) and get_origin(wanted) is tuple and all(map(_is_struct, get_args(wanted)[:1])):
            self.problems.append(Problem(path, "is one table where there is a list of them", f"write [[{path}]]"))
            return _BAD
        try:
            return msgspec.convert(value, wanted)
        except msgspec.ValidationError:
            choices = _choices(wanted)
            if choices:
                remedy = suggest(value if isinstance(value, str) else "", choices)
                self.problems.append(Problem(path, f"{_found(value, path)} cannot stand here", remedy))
            else:
                self.problems.append(Problem(path, f"{_found(value, path)} is not {describe_type(wanted)}"))
            return _BAD

    def _struct(self, value: object, choices: list[object], path: str) -> object:
        if not isinstance(value, dict):
            self.problems.append(Problem(path, f"{_found(value, path)} is not a table", f"write [{path}]"))
            return _BAD
        table = cast("dict[str, object]", value)
        wanted = self._choose(table, choices, path)
        if wanted is None:
            return _BAD
        fields = {field.encode_name: field for field in msgspec.structs.fields(wanted)}
        tag = wanted.__struct_config__.tag_field
        values: dict[str, object] = {}
        good = True
        for key, item in table.items():
            if key == tag:
                continue
            if key not in fields:
                self.problems.append(
                    Problem(f"{path}.{key}", f"unknown key '{key}'{_elsewhere(key, choices)}", suggest(key, fields))
                )
                continue
            taken = self.take(item, fields[key].type, f"{path}.{key}")
            if not isinstance(taken, _Bad):
                values[fields[key].name] = taken
            elif fields[key].required:
                good = False
        for name, field in fields.items():
            if field.required and name not in table:
                self.problems.append(Problem(f"{path}.{name}", "is missing", describe_type(field.type)))
                good = False
        return wanted(**values) if good else _BAD

    def _choose(self, table: dict[str, object], choices: list[object], path: str) -> type[msgspec.Struct] | None:
        structs = cast("list[type[msgspec.Struct]]", choices)
        tag = structs[0].__struct_config__.tag_field
        if len(structs) == 1 or tag is None:
            return structs[0]
        by_tag = {str(struct.__struct_config__.tag): struct for struct in structs}
        found = table.get(tag)
        if isinstance(found, str) and found in by_tag:
            return by_tag[found]
        said = "is missing" if tag not in table else f"{_found(found, tag)} is not a {tag}"
        self.problems.append(Problem(f"{path}.{tag}", said, suggest(found if isinstance(found, str) else "", by_tag)))
        return None


def describe_type(wanted: object) -> str:
    """What a field takes, in words."""
    origin, arguments = get_origin(wanted), get_args(wanted)
    if origin is Annotated:
        return describe_type(arguments[0]) + "".join(
            _describe_bounds(one) for one in arguments[1:] if isinstance(one, msgspec.Meta)
        )
    if choices := _choices(wanted):
        return f"one of {', '.join(choices)}"
    if origin in {Union, types.UnionType}:
        return " or ".join(describe_type(choice) for choice in arguments if choice is not types.NoneType)
    if origin is tuple:
        return f"a list of {_describe_several(arguments[0])}"
    if origin is dict:
        return f"a table of {describe_type(arguments[1])}"
    if isinstance(wanted, type):
        return _PLAIN.get(wanted, "a table")
    return str(wanted)


def _describe_several(wanted: object) -> str:
    if choices := _choices(wanted):
        return f"any of {', '.join(choices)}"
    if get_origin(wanted) is Annotated:
        bare, *more = get_args(wanted)
        return _describe_several(bare) + "".join(_describe_bounds(one) for one in more if isinstance(one, msgspec.Meta))
    return _SEVERAL.get(wanted, "tables") if isinstance(wanted, type) else "tables"


def _describe_bounds(meta: msgspec.Meta) -> str:
    bounds = [("at least", meta.ge), ("more than", meta.gt), ("at most", meta.le), ("less than", meta.lt)]
    said = [f"{word} {bound}" for word, bound in bounds if bound is not None]
    return f", {' and '.join(said)}" if said else ""


def _choices(wanted: object) -> list[str]:
    if get_origin(wanted) is Literal:
        return [str(choice) for choice in get_args(wanted)]
    if isinstance(wanted, type) and issubclass(wanted, Enum):
        return [str(member.value) for member in wanted]
    return []


def _is_struct(wanted: object) -> bool:
    return isinstance(wanted, type) and issubclass(wanted, msgspec.Struct)


def _is_alike(value: object, wanted: object) -> bool:
    """Whether a misfit of this value is told best as one of this type."""
    if isinstance(value, dict):
        return _is_struct(wanted) or get_origin(wanted) is dict
    return isinstance(value, list) and get_origin(wanted) is tuple


def _elsewhere(key: str, choices: list[object]) -> str:
    """Says so where the key exists, but for another kind."""
    structs = cast("list[type[msgspec.Struct]]", choices)
    kinds = [str(one.__struct_config__.tag) for one in structs if key in one.__struct_encode_fields__]
    return f", which applies to kind {' and '.join(kinds)} only" if kinds and len(structs) > 1 else ""


def _found(value: object, path: str) -> str:
    if isinstance(value, str):
        may_be_secret = path.endswith(("key", "url")) or len(value) > _SHOWN_CHARS or not value.isprintable()
        return f"a text of {len(value)} characters" if may_be_secret else f"'{value}'"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "a list"
    return "a table" if isinstance(value, dict) else str(value)
