"""Objects out of templates: YAML with Jinja2, where a value that is wanted and not given is an error."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError
from jinja2.exceptions import TemplateNotFound, TemplateSyntaxError

from tideflow.engine import shapes
from tideflow.engine.parsing import parse
from tideflow.errors import ManifestError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_ESCAPED = re.compile(r"[^\n\x20-\x7e]")  # in JSON, only texts have any of them


class Rendered(dict[str, Any]):
    """One object that came out of a template; ``origin`` is which, for messages."""

    origin = ""


def render(template: Path, values: Mapping[str, object]) -> list[Rendered]:
    """Return the objects that a template becomes with these values.

    A value is quoted by ``{{ value | tojson }}``, whatever is in it. Raises ``ManifestError`` if one is not
    given, or what comes out is no YAML, or not of objects.
    """
    environment = Environment(
        loader=FileSystemLoader(template.parent),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - YAML: templates quote their values with tojson
    )
    environment.policies["json.dumps_function"] = _quoted
    if not template.is_file():
        raise ManifestError(f"there is no template {template}")
    try:
        text = environment.get_template(template.name).render(values)
    except (TemplateError, TypeError, ValueError) as error:
        raise ManifestError(f"{template} cannot be rendered: {_told(error)}") from None
    rendered = []
    for found in parse(text, f"{template}, as rendered"):
        if found is None:
            continue
        if not isinstance(found, dict):
            raise ManifestError(f"{template} holds {shapes.named(found)}, not a Kubernetes object")
        rendered.append(Rendered(found))
        rendered[-1].origin = f"{template}, object {len(rendered)}"
    return rendered


def _quoted(value: object, **options: Any) -> str:
    """Return a value as JSON that is YAML too, which knows no surrogate pairs and takes fewer characters."""
    text = json.dumps(value, **options, ensure_ascii=False, default=_no_json)
    return _ESCAPED.sub(lambda found: f"\\U{ord(found[0]):08x}", text)


def _no_json(value: object) -> str:
    str(value)  # what is undefined says so, by an error of Jinja2's
    raise TypeError(f"a {type(value).__name__} is not JSON")


def _told(error: Exception) -> str:
    if isinstance(error, TemplateNotFound):
        return f"there is no template {error.name}"
    if isinstance(error, TemplateSyntaxError):
        return f"line {error.lineno}: {error.message}"
    return " ".join(str(error).split())
