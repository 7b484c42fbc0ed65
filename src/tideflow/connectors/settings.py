"""The settings of one platform, read from pyinfra's data and checked before anything is made.

``group_data/all.py`` has every setting with its default and its reason; this is where a wrong one is refused.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from tideflow.errors import SettingError
from tideflow.rehearsal.pace import PACES

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from tideflow.engine.prune import Prune

T = TypeVar("T")

PRUNE: tuple[Prune, ...] = ("off", "objects", "everything")

TOKEN = "DIGITALOCEAN_ACCESS_TOKEN"  # noqa: S105 - the name of a variable

TAG = "tideflow"
"""The tag of clusters that Tideflow made or was told to take over; others it leaves alone."""

PLACEHOLDER_HOSTNAME = "kubeflow.example.com"
PLACEHOLDER_EMAIL = "user@example.com"
REHEARSAL_HOSTNAME = "kubeflow.localhost"

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
# A last label of digits makes it an IP address, which no Ingress takes.
_HOSTNAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*\.(?!\d+\Z){_LABEL}", re.ASCII)
# As narrow as what a Profile's owner, Dex and a Kubernetes label value can all live with.
_EMAIL = re.compile(rf"[A-Za-z0-9._%+-]{{1,64}}@{_LABEL}(\.{_LABEL})+", re.ASCII | re.IGNORECASE)
# DigitalOcean's own rule for the name of a cluster; it becomes part of the nodes' names.
_CLUSTER_NAME = re.compile(rf"{_LABEL}", re.ASCII)
# A minor, a patch of it, or DigitalOcean's slug; the preflight says why it is never the latest.
_VERSION = re.compile(r"1\.\d{2}(\.\d{1,2}(-do\.\d+)?)?|latest", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_TAG = re.compile(r"[A-Za-z0-9_:-]{1,255}", re.ASCII)
_WINDOW = re.compile(
    r"(any|monday|tuesday|wednesday|thursday|friday|saturday|sunday) ([01][0-9]|2[0-3]):[0-5][0-9]", re.ASCII
)
MOST_NODES = 512
"""How many nodes a cluster of DigitalOcean's may have."""


class Data(Protocol):
    """What is needed of pyinfra's ``host.data``."""

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a setting."""
        ...


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of one platform; what each is for, and its unit, is in ``group_data/all.py``.

    None stands for what is not set: DigitalOcean decides, and what is there is left.
    """

    region: str
    vpc: str | None
    kubernetes_version: str
    unsupported_kubernetes: bool
    node_count: int
    node_size: str
    node_autoscale: tuple[int, int] | Literal[False] | None
    high_availability: bool | None
    auto_upgrade: bool | None
    surge_upgrade: bool | None
    maintenance_window: str | None
    cluster_tags: tuple[str, ...] | None
    adopt_cluster: bool
    hostname: str
    email: str
    change_password: bool
    timeout_seconds: float
    kubeconfig_seconds: int
    pace: str
    prune: Prune
    pod_ready_seconds: tuple[float, float]
    speed: float

    @classmethod
    def read(cls, data: Data, *, rehearsal: bool) -> Settings:
        """Return the settings; raises ``SettingError`` for the first unusable one."""
        hostname = _text(data, "hostname").lower()
        if rehearsal and hostname == PLACEHOLDER_HOSTNAME:
            hostname = REHEARSAL_HOSTNAME
        if not _HOSTNAME.fullmatch(hostname):
            raise SettingError(
                f"the setting hostname is {hostname!r}, which is not a DNS name",
                hint="set it to something like kubeflow.my-company.com",
            )
        email = _text(data, "email")
        if not _EMAIL.fullmatch(email):
            raise SettingError(f"the setting email is {email!r}, which is not an e-mail address")
        version = _text(data, "kubernetes_version")
        if not _VERSION.fullmatch(version):
            raise SettingError(
                f"the setting kubernetes_version is {version!r}, not a minor version such as '1.34'",
                hint="on the command line, quote it twice: --data 'kubernetes_version=\"1.30\"'",
            )
        fastest, slowest = _range(data, "rehearsal_pod_ready_seconds")
        count = _whole(data, "node_count", least=1, most=MOST_NODES)
        return cls(
            region=_text(data, "region"),
            vpc=_form(data, "vpc", _UUID, "the UUID of a VPC"),
            kubernetes_version=version,
            unsupported_kubernetes=_flag(data, "unsupported_kubernetes"),
            node_count=count,
            node_size=_text(data, "node_size"),
            node_autoscale=_bounds(data, "node_autoscale", count),
            high_availability=_if_set(data, "high_availability", _flag),
            auto_upgrade=_if_set(data, "auto_upgrade", _flag),
            surge_upgrade=_if_set(data, "surge_upgrade", _flag),
            maintenance_window=_form(
                data, "maintenance_window", _WINDOW, "a day and an hour such as 'sunday 02:00' or 'any 02:00'"
            ),
            cluster_tags=_if_set(data, "cluster_tags", _tags),
            adopt_cluster=_flag(data, "adopt_cluster"),
            hostname=hostname,
            email=email,
            change_password=_flag(data, "change_password"),
            timeout_seconds=60 * _number(data, "timeout_minutes", least=0.1, most=24 * 60),
            kubeconfig_seconds=int(3600 * _number(data, "kubeconfig_hours", least=1, most=168)),
            pace=_choice(data, "rehearsal_pace", PACES),
            prune=_choice(data, "prune", PRUNE),
            pod_ready_seconds=(fastest, slowest),
            speed=_number(data, "rehearsal_speed", least=0.1, most=100_000),
        )

    def refuse_placeholders(self) -> None:
        """Raise ``SettingError`` if hostname or e-mail are still the defaults; for real platforms."""
        for setting, value, placeholder in (
            ("hostname", self.hostname, PLACEHOLDER_HOSTNAME),
            ("email", self.email, PLACEHOLDER_EMAIL),
        ):
            if value == placeholder:
                raise SettingError(
                    f"the setting {setting} is still the placeholder {placeholder}",
                    hint=f"set {setting} in group_data/all.py to your own; nothing was created",
                )


def refuse_misspelt(given: Iterable[str], known: Collection[str]) -> None:
    """Raise ``SettingError`` for a name of ``--data`` that is nearly a setting; others may be a deploy's."""
    for name in given:
        near = [] if name in known else difflib.get_close_matches(name, known, n=1, cutoff=0.8)
        if near:
            raise SettingError(f"there is no setting {name}", hint=f"did you mean {near[0]}?")


def check_cluster_name(name: str) -> None:
    """Raise ``SettingError`` for a name that DigitalOcean would refuse for a cluster."""
    if not _CLUSTER_NAME.fullmatch(name):
        raise SettingError(
            f"{name!r} cannot be the name of a cluster",
            hint="use lower-case letters, digits and '-', beginning and ending with a letter or digit, "
            "63 at most",
        )


def _text(data: Data, name: str) -> str:
    value = data.get(name)
    # --data kubernetes_version=1.34 arrives as a number.
    if isinstance(value, float):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        raise SettingError(f"the setting {name} is {value!r}, not a text", hint=_WHERE)
    return value.strip()


def _number(data: Data, name: str, *, least: float, most: float) -> float:
    value = data.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise SettingError(
            f"the setting {name} is {value!r}, not a number from {least:g} to {most:g}", hint=_WHERE
        )
    return value


def _whole(data: Data, name: str, *, least: int, most: int) -> int:
    value = _number(data, name, least=least, most=most)
    if value != int(value):
        raise SettingError(f"the setting {name} is {value!r}, not a whole number", hint=_WHERE)
    return int(value)


def _flag(data: Data, name: str) -> bool:
    value = data.get(name)
    if not isinstance(value, bool):
        raise SettingError(f"the setting {name} is {value!r}, neither true nor false", hint=_WHERE)
    return value


def _if_set(data: Data, name: str, read: Callable[[Data, str], T]) -> T | None:
    return None if data.get(name) is None else read(data, name)


def _form(data: Data, name: str, form: re.Pattern[str], meant: str) -> str | None:
    """Return a text in lower case that has to have a form, or None where it is not set."""
    value = _if_set(data, name, _text)
    if value is not None and not form.fullmatch(value.lower()):
        raise SettingError(f"the setting {name} is {value!r}, not {meant}", hint=_WHERE)
    return value and value.lower()


def _tags(data: Data, name: str) -> tuple[str, ...]:
    value = data.get(name)
    if not isinstance(value, list | tuple) or not all(
        isinstance(tag, str) and _TAG.fullmatch(tag) for tag in value
    ):
        raise SettingError(
            f"the setting {name} is {value!r}, not a list of tags of letters, digits, '_', ':' and '-'",
            hint=_WHERE,
        )
    return tuple(dict.fromkeys(value))


def _bounds(data: Data, name: str, count: int) -> tuple[int, int] | Literal[False] | None:
    """Return between how many nodes a pool is scaled, False for not at all, None where it is not set."""
    value = data.get(name)
    if value is None or value is False:
        return value
    try:
        least, most = map(int, value)
    except (TypeError, ValueError):
        least, most = 1, 0
    if not 1 <= least <= most <= MOST_NODES or list(value) != [least, most]:
        raise SettingError(
            f"the setting {name} is {value!r}, neither false nor two numbers of nodes such as [3, 6]",
            hint=_WHERE,
        )
    if not least <= count <= most:
        raise SettingError(
            f"the setting {name} is {value!r}, and the setting node_count, {count}, is not between them",
            hint="a pool begins with node_count nodes: change one of the two",
        )
    return least, most


def _choice(data: Data, name: str, choices: Sequence[T]) -> T:
    value = data.get(name)
    for choice in choices:
        if value == choice:
            return choice
    listed = ", ".join(map(str, choices))
    raise SettingError(f"the setting {name} is {value!r}, none of: {listed}", hint=_WHERE)


def _range(data: Data, name: str) -> tuple[float, float]:
    value = data.get(name)
    try:
        fastest, slowest = (float(second) for second in value)
    except (TypeError, ValueError):
        fastest, slowest = 1.0, 0.0
    if not 0 <= fastest <= slowest:
        raise SettingError(
            f"the setting {name} is {value!r}, not two numbers of seconds such as [1, 4]", hint=_WHERE
        )
    return fastest, slowest


_WHERE = "see group_data/all.py"
