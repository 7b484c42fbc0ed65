"""Reading requests: what the description requires of them, and what DigitalOcean would refuse.

Fields that the twin has no use for are ignored, and missing in its answers.
"""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from tideflow.rehearsal.twin import catalogue

if TYPE_CHECKING:
    from collections.abc import Container

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_MOST_NODES = 512

# What nodes may have; see https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_PREFIX = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*"
LabelKey = Annotated[str, Field(pattern=rf"^({_PREFIX}/)?{_LABEL}$", max_length=317)]
LabelValue = Annotated[str, Field(pattern=rf"^({_LABEL})?$")]

# Where pydantic's words do not go on from the name of a field.
_REFUSED: Final = "refused"
_WORDS = {"extra_forbidden": "is not known", "missing": "is required", "model_type": "must be an object"}
_SUBJECT = re.compile(r"^(Dictionary|Input|List|String) ")


class InvalidError(Exception):
    """A request says what cannot be; the text names the field."""


def refused(why: str) -> PydanticCustomError:
    """Return what a validator raises, in words that go on from the name of a field."""
    return PydanticCustomError(_REFUSED, why)


def _name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise refused("must have lower-case letters, digits and hyphens only, 63 at most")
    return name


def _version(asked: str) -> str:
    if (slug := catalogue.version(asked)) is None:
        raise refused("is not one of those that are offered")
    return slug


def _one_of(offers: Container[str], why: str) -> AfterValidator:
    def check(slug: str) -> str:
        if slug not in offers:
            raise refused(why)
        return slug

    return AfterValidator(check)


Name = Annotated[str, AfterValidator(_name)]
Uuid = Annotated[str, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
Count = Annotated[int, Field(ge=1, le=_MOST_NODES)]
Version = Annotated[str, AfterValidator(_version)]
Region = Annotated[str, _one_of(catalogue.REGIONS, "is not one of those that clusters can be in")]
Size = Annotated[str, _one_of(catalogue.SIZES, "is not one of those that nodes can have")]
OneClick = Annotated[str, _one_of(catalogue.ONE_CLICKS, "is not a 1-click application")]


class Body(BaseModel):
    """What is said in JSON has the types that are stated, and no others that could be converted."""

    model_config = ConfigDict(strict=True)

    def given(self) -> dict[str, Any]:
        """Return what the body said, without defaults."""
        return {name: value for name, value in self.model_dump().items() if name in self.model_fields_set}


class Taint(Body):
    """What keeps pods off nodes; doctl writes its fields with capitals, and is understood."""

    key: LabelKey
    value: LabelValue = ""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]

    @model_validator(mode="before")
    @classmethod
    def _lower(cls, given: Any) -> Any:
        return {name.lower(): value for name, value in given.items()} if isinstance(given, dict) else given


class PoolChange(Body):
    """What a node pool is to be; only what was given changes.

    The description requires name and count, and doctl sends neither unless it is asked to.
    """

    name: Name = ""
    count: Count = 1
    tags: list[str] = []
    labels: Annotated[dict[LabelKey, LabelValue] | None, AfterValidator(lambda labels: labels or {})] = {}
    taints: list[Taint] = []
    auto_scale: bool = False
    min_nodes: Annotated[int, Field(ge=0, le=_MOST_NODES)] = 0
    max_nodes: Annotated[int, Field(ge=0, le=_MOST_NODES)] = 0

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        if self.auto_scale and not self.min_nodes <= self.max_nodes > 0:
            raise refused("min_nodes and max_nodes must be bounds, since auto_scale is true")
        return self


class Pool(PoolChange):
    """A new node pool."""

    name: Name
    count: Count
    size: Size


class Maintenance(Body):
    """When DigitalOcean may work on a cluster, in UTC."""

    start_time: Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")] = "00:00"
    day: Literal["any", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"] = "any"


class ClusterChange(Body):
    """What a cluster is to be; only what was given changes.

    The description requires the name, and doctl does not send it unless it is asked to.
    """

    name: Name = ""
    tags: list[str] = []
    ha: bool = False
    auto_upgrade: bool = False
    surge_upgrade: bool = False
    maintenance_policy: Maintenance | None = None


class Cluster(ClusterChange):
    """A new cluster."""

    name: Name
    region: Region
    version: Version
    node_pools: Annotated[list[Pool], Field(min_length=1)]
    vpc_uuid: Annotated[Uuid, Field(default_factory=lambda: str(uuid.uuid4()))]

    @model_validator(mode="after")
    def _pools(self) -> Self:
        if len({pool.name for pool in self.node_pools}) < len(self.node_pools):
            raise refused("node_pools must have different names")
        return self


class OneClicks(Body):
    """Which 1-clicks are to be installed, and in which cluster."""

    addon_slugs: Annotated[list[OneClick], Field(min_length=1)]
    cluster_uuid: str


class Upgrade(Body):
    """To which of DigitalOcean's versions a cluster is to be upgraded."""

    version: str


class Recycling(Body):
    """Which nodes of a pool are to be replaced, by their ids."""

    nodes: list[str] = []


class Snapshot(Body):
    """A new snapshot of a volume."""

    name: Annotated[str, Field(min_length=1)]
    tags: list[str] | None = None


class Associated(Body):
    """What is to be deleted together with a cluster, by ids."""

    load_balancers: list[str] = []
    volumes: list[str] = []
    volume_snapshots: list[str] = []


class TokenReviewSpec(Body):
    """Which token an API server asks about."""

    token: str = ""


class TokenReview(Body):
    """What an API server asks, in Kubernetes' own shape."""

    spec: TokenReviewSpec


Form = TypeVar("Form", bound=BaseModel)


def read(form: type[Form], given: Any) -> Form:
    """Return what was ``given`` in a body or a query, or raise ``InvalidError``."""
    try:
        return form.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        why = _WORDS.get(first["type"]) or _SUBJECT.sub("", first["msg"])
        where = ".".join(map(str, first["loc"])) or ("" if first["type"] == _REFUSED else "the body")
        raise InvalidError(f"{where} {why}".strip()) from None
