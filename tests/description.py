"""DigitalOcean's API description, which calls of the API are held against.

It is in the folder that TIDEFLOW_TEST_DIGITALOCEAN names. What it leaves open, since next to nothing in it is
required, is decided here: answers have all properties but those of ``NOT_MODELLED``, and no others.
"""

from __future__ import annotations

import functools
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from jsonschema_path import SchemaPath
from openapi_core import Config, OpenAPI
from openapi_core.exceptions import OpenAPIError
from openapi_core.templating.paths.exceptions import PathError
from openapi_core.templating.paths.finders import APICallPathFinder

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from openapi_core.protocols import Request, Response

FOLDER = os.environ.get("TIDEFLOW_TEST_DIGITALOCEAN", "")

needed = pytest.mark.skipif(
    not FOLDER, reason="TIDEFLOW_TEST_DIGITALOCEAN names no folder with DigitalOcean's API description"
)

ELSEWHERE = {"/v2/droplets", "/v2/sizes", "/v2/snapshots", "/v2/tags"}
"""Paths of DigitalOcean's that the part of the description that is at hand does not have."""

NOT_MODELLED = {
    # While there is nothing to say.
    "endpoint",
    "message",
    "pages",
    # Parts of DigitalOcean that have no twin.
    "amd_gpu_device_metrics_exporter_plugin",
    "amd_gpu_device_plugin",
    "cookie_name",
    "cookie_ttl_seconds",
    "glb_settings",
    "cluster_autoscaler_configuration",
    "control_plane_firewall",
    "coredns_autoscaler",
    "nvidia_gpu_device_plugin",
    "p2p_oci_registry_plugin",
    "rdma_shared_dev_plugin",
    "registries",
    "routing_agent",
    "sso",
    "worker_subnet_uuid",
}

# openapi-core's words
_MISSING = re.compile(r"'(\w+)' is a required property")
_READ_ONLY = "Tried to write read-only property"


@dataclass(frozen=True)
class Call:
    """A call that was made: the description's name of the operation ("" if it has none), and the status."""

    operation: str
    status: int


def check(
    request: Request, response: Response, *, may_fail: bool = False, liberties: Collection[str] = ()
) -> Call:
    """Return which call this was; fail with all that is not as the description has it.

    The server failing is part of it, unless it ``may_fail`` since it was told to. A request may take
    ``liberties`` with fields that the description requires or allows in answers only, as servers let it.
    """
    what = f"{request.method.upper()} {request.path} -> {response.status_code}"
    try:
        operation = _operation(request)
    except PathError:
        known = is_elsewhere(request.path) or response.status_code in {401, 404, 405}
        assert known, f"{what}: the description knows no such path"
        return Call("", response.status_code)
    deviations = [*_answer(operation, request, response)]
    if response.status_code >= 500 and not may_fail:
        deviations.append("the server failed")
    if response.status_code < 400:
        try:
            _description().validate_request(request)
        except OpenAPIError as error:
            reasons = [*_reasons(error, liberties)]
            deviations += ["it should have been refused:", *reasons] if reasons else []
    assert not deviations, "\n".join([f"{what} is not as DigitalOcean describes it:", *deviations])
    return Call((operation / "operationId").read_value(), response.status_code)


def is_elsewhere(path: str) -> bool:
    """Tell whether a path, or one above it, is of a part that is not at hand."""
    return any(path == known or path.startswith(f"{known}/") for known in ELSEWHERE)


def unknown(request: Request) -> list[str]:
    """Return what a request has that the description knows nothing of; servers may well ignore it."""
    operation = _operation(request)
    parameters = operation / "parameters" if "parameters" in operation else ()
    known = {(parameter / "name").read_value() for parameter in parameters}
    found = [f"query: {name} is not known" for name in request.parameters.query if name not in known]
    if request.body:
        schema = operation / "requestBody" / "content" / "application/json" / "schema"
        found += _unknown(schema, json.loads(request.body), "request")
    return found


def operations() -> dict[tuple[str, str], str]:
    """Return the name of each operation by its method and path."""
    return {
        (method.upper(), path): (operation / "operationId").read_value()
        for path, methods in (_description().spec / "paths").str_items()
        for method, operation in methods.str_items()
    }


def scopes() -> dict[str, list[str]]:
    """Return the scopes that a token needs for each operation, by method and path."""
    return {
        f"{method.upper()} {path}": (operation / "security" / 0 / "bearer_auth").read_value()
        for path, methods in (_description().spec / "paths").str_items()
        for method, operation in methods.str_items()
        if "security" in operation
    }


def example(name: str) -> Any:
    """Return one of the description's examples of requests that are about clusters."""
    file = Path(FOLDER, "openapi", "resources", "kubernetes", "examples.yml")
    return yaml.safe_load(file.read_text(encoding="utf-8"))[name]["value"]


@functools.cache
def _description() -> OpenAPI:
    file = Path(FOLDER, "openapi", "openapi.yaml").absolute()
    root = yaml.safe_load(file.read_text(encoding="utf-8"))
    del root["servers"]  # a twin is elsewhere
    # The description itself is not valid: it has references in the place of operations.
    config = Config(spec_validator_cls=None, response_properties_default_policy="required")
    spec = SchemaPath.from_dict(root, base_uri=file.as_uri(), handlers={"file": _read})
    return OpenAPI(spec, config)


def _read(uri: str) -> Any:
    """Return what a file of the description says, without its references in the place of ``properties``."""
    file = Path(uri.removeprefix("file://"))
    return _mended(yaml.safe_load(file.read_text(encoding="utf-8")), file)


def _mended(value: Any, file: Path) -> Any:
    if isinstance(value, list):
        return [_mended(item, file) for item in value]
    if not isinstance(value, dict):
        return value
    if isinstance(reference := (value.get("properties") or {}).get("$ref"), str):
        other, _, name = reference.partition("#/")
        value = value | {"properties": _read((file.parent / other).as_uri())[name]}
    return {key: _mended(item, file) for key, item in value.items()}


def _operation(request: Request) -> SchemaPath:
    found = APICallPathFinder(_description().spec).find(request.method, f"{request.host_url}{request.path}")
    operation: SchemaPath = found.operation
    return operation


def _answer(operation: SchemaPath, request: Request, response: Response) -> Iterator[str]:
    """Yield what is wrong with an answer."""
    status = str(response.status_code)
    if response.status_code < 400 and status not in operation / "responses":
        yield "the status is not one of those described"
        return
    described = operation / "responses" / (status if status in operation / "responses" else "default")
    missing = [name for name in (described / "headers").keys() if name not in response.headers]  # noqa: SIM118 - no mapping
    yield from (f"header {name} is missing" for name in missing)
    try:
        _description().validate_response(request, response)
    except OpenAPIError as error:
        yield from _reasons(error)
    if "content" not in described:
        if response.data:
            yield "there is a body"
    elif response.content_type == "application/json":
        schema = described / "content" / "application/json" / "schema"
        yield from _unknown(schema, json.loads(response.data or b"null"), "answer")


def _reasons(error: OpenAPIError, passed_over: Collection[str] = NOT_MODELLED) -> Iterator[str]:
    causes = getattr(error.__cause__, "schema_errors", ())
    if not causes:
        yield f"{error}: {error.__cause__}"
    for cause in causes:
        missing = _MISSING.fullmatch(cause.message)
        name = missing[1] if missing else ""
        if cause.message.startswith(_READ_ONLY):
            name = cause.json_path.rpartition(".")[2]
        if name not in passed_over:
            yield f"{cause.json_path}: {cause.message}"


def _unknown(schema: SchemaPath, value: Any, where: str) -> Iterator[str]:
    """Yield the properties of a value that its schema does not name."""
    if isinstance(value, list) and "items" in schema:
        for item in value:
            yield from _unknown(schema / "items", item, f"{where}[]")
    if isinstance(value, dict):
        known = dict(_properties(schema))
        for name, part in value.items():
            if name in known:
                yield from _unknown(known[name], part, f"{where}.{name}")
            elif known:  # a schema that names none leaves them free
                yield f"{where}.{name} is not known"


def _properties(schema: SchemaPath) -> Iterator[tuple[str, SchemaPath]]:
    if "properties" in schema:
        yield from (schema / "properties").str_items()
    for keyword in ("allOf", "anyOf"):
        for part in schema / keyword if keyword in schema else ():
            yield from _properties(part)
