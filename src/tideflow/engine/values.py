"""What a YAML document says, as kubectl understands it.

kubectl's YAML is neither 1.1 nor 1.2: ``on`` and ``y`` are true and ``010`` is eight, but ``0o17`` is
fifteen, ``1e3`` a whole number, and ``12:30`` a text, as is a date. What comes out is JSON: keys are texts
however they are written, and tags of anybody's own say nothing. Of a key that is there twice the last one
counts, also where one of them is merged in by ``<<``.
"""

from __future__ import annotations

import base64
import math
import re
import struct
from decimal import Decimal
from typing import Any

import yaml
from yaml.constructor import ConstructorError

_PLAIN = "?"  # the tag of a scalar without quotes that has none of its own
_STANDARD = "tag:yaml.org,2002:"
_WORDS: dict[str, bool | float | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
}
_TYPES: dict[str, tuple[type, ...]] = {
    f"{_STANDARD}null": (type(None),),
    f"{_STANDARD}bool": (bool,),
    f"{_STANDARD}int": (int,),
    f"{_STANDARD}float": (int, float),
}
_BEGINNINGS = frozenset("0123456789+-.")  # of numbers
_WHOLE = re.compile(r"[-+]?(?:0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO][0-7]+|[1-9][0-9]*|(0[0-7]*))")
_DECIMAL = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_UNDERSCORED = re.compile(r"\.[0-9]+(?:_[0-9]+)*(?:[eE][-+]?[0-9]+(?:_[0-9]+)*)?")
_LEAST, _MOST, _END = -(2**63), 2**63 - 1, 2**64
_DIGITS = 9  # that tell every number of 32 bits from every other
_LARGE = 6  # digits before the point from which on Go writes an exponent
_SMALL = -4


class Loader(yaml.CSafeLoader):
    """libyaml's parser, with kubectl's understanding of what it finds."""

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:  # noqa: ARG002 - PyYAML's
        """Return the tag of a node that has none; what a plain one means is decided when it is a value."""
        return _PLAIN if kind is yaml.ScalarNode and implicit[0] else f"{_STANDARD}str"

    def construct_document(self, node: yaml.Node) -> Any:
        """Return what a document says; raises ``ConstructorError`` for what JSON has no place for."""
        return _Document().value(node)


class _Document:
    def __init__(self) -> None:
        self._made: dict[yaml.Node, Any] = {}  # what anchors stand for is made once

    def value(self, node: yaml.Node) -> Any:
        if isinstance(node, yaml.ScalarNode):
            return _value(node)
        if node not in self._made:
            self._made[node] = ...
            if isinstance(node, yaml.MappingNode):
                self._made[node] = self._mapping(node)
            else:
                self._made[node] = [self.value(item) for item in node.value]
        elif self._made[node] is ...:
            raise _error(node, "what an anchor stands for contains itself")
        return self._made[node]

    def _mapping(self, node: yaml.MappingNode) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value == "<<" and key.tag in _MERGING:
                made |= self._merged(value)
            else:
                made[_key(key)] = self.value(value)
        return made

    def _merged(self, node: yaml.Node) -> dict[str, Any]:
        """Return what is merged in: one mapping, or several of which the first counts most."""
        merged: dict[str, Any] = {}
        for part in reversed(node.value) if isinstance(node, yaml.SequenceNode) else [node]:
            if not isinstance(part, yaml.MappingNode):
                raise _error(node, "only mappings can be merged into one, by <<")
            merged |= self.value(part)
        return merged


_MERGING = {_PLAIN, f"{_STANDARD}merge"}


def _value(node: yaml.ScalarNode) -> Any:
    found = _scalar(node)
    if isinstance(found, float):
        if not math.isfinite(found):
            raise _error(node, f"{node.value} is no value that Kubernetes has")
        whole = int(Decimal(repr(found))) if found.is_integer() else _END
        return whole if _LEAST <= whole <= _MOST else found
    return found


def _key(node: yaml.Node) -> str:
    """Return a key as the text that kubectl makes of it; raises ``ConstructorError`` for one it refuses."""
    found = _scalar(node) if isinstance(node, yaml.ScalarNode) else None
    if isinstance(found, str):
        return found
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, float):
        return _written(found)
    if isinstance(found, int) and found <= _MOST:
        return str(found)
    raise _error(node, "a key has to be a text; put it in quotes")


def _scalar(node: yaml.ScalarNode) -> Any:
    tag, text = node.tag, node.value
    if tag == _PLAIN:
        return _plain(text)
    if tag == f"{_STANDARD}binary":
        try:
            return base64.b64decode(text.replace("\n", ""), validate=True).decode(errors="replace")
        except ValueError:
            raise _error(node, "what is tagged !!binary is not base64") from None
    if tag not in _TYPES:
        return text
    found = _plain(text)
    if type(found) not in _TYPES[tag]:
        raise _error(node, f"{text or 'nothing'} is tagged as !!{tag.removeprefix(_STANDARD)}, and is none")
    return float(found) if tag == f"{_STANDARD}float" else found


def _plain(text: str) -> Any:
    """Return what a text without quotes means."""
    if text in _WORDS:
        return _WORDS[text]
    return _number(text) if text[0] in _BEGINNINGS else text


def _number(text: str) -> int | float | str:
    """Return the number that a text is, or the text if it is none, or a larger one than there are."""
    if text[0] == "." and not _UNDERSCORED.fullmatch(text):
        return text
    plain = text.replace("_", "")
    whole = _WHOLE.fullmatch(plain)
    if whole and len(plain) < _END.bit_length() + 4:
        number = int(plain, 8 if whole[1] else 0)
        if _LEAST <= number < _END:
            return number
    if _DECIMAL.fullmatch(plain) and math.isfinite(float(plain)):
        return float(plain)
    return text


def _written(number: float) -> str:
    """Return a number as Go writes it in 32 bits, with as few digits as tell it from all others."""
    if math.isnan(number):
        return ".nan"
    single = _single(number)
    if math.isinf(single):
        return ".inf" if single > 0 else "-.inf"
    digits = next(some for some in range(_DIGITS) if _single(float(f"{single:.{some}e}")) == single)
    text = f"{single:.{digits}e}"
    exponent = int(text.partition("e")[2])
    return f"{single:.{max(digits - exponent, 0)}f}" if _SMALL <= exponent < _LARGE else text


def _single(number: float) -> float:
    try:
        single: float = struct.unpack("f", struct.pack("f", number))[0]
    except OverflowError:
        return math.copysign(math.inf, number)
    return single


def _error(node: yaml.Node, problem: str) -> ConstructorError:
    return ConstructorError(None, None, problem, node.start_mark)
