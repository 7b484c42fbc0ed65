"""What the query of a request may say."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

_LONGEST = 10 * 365 * 24 * 3600  # seconds, ten years: dates have an end


class Page(BaseModel):
    """Which part of a list."""

    page: Annotated[int, Field(ge=1)] = 1
    per_page: Annotated[int, Field(ge=1, le=200)] = 20


class Volumes(Page):
    """Which volumes, if not all."""

    name: str | None = None
    region: str | None = None


class Snapshots(Page):
    """Which snapshots, if not all; the twin has none of droplets."""

    resource_type: Literal["droplet", "volume"] | None = None


class Droplets(Page):
    """Which droplets, if not all."""

    tag_name: str | None = None


class NodeDeletion(BaseModel):
    """Whether pods may stay until the end, and whether another node is to come."""

    skip_drain: Annotated[int, Field(ge=0, le=1)] = 0
    replace: Annotated[int, Field(ge=0, le=1)] = 0


class Offers(BaseModel):
    """Which 1-clicks are asked for; all of them without a type."""

    type: Literal["droplet", "kubernetes"] | None = None


class Access(BaseModel):
    """For how long credentials are to hold, in seconds; 0 stands for a week."""

    expiry_seconds: Annotated[int, Field(ge=0, le=_LONGEST)] = 0
