"""The settings of one platform, read from pyinfra's data and checked before anything is made.

``group_data/all.py`` has every setting with its default and its reason; this is where a wrong one is refused.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from tideflow.connectors import people, reading
from tideflow.connectors.balancing import Balancing
from tideflow.connectors.encryption import Encryption
from tideflow.errors import SettingError
from tideflow.rehearsal.pace import PACES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from tideflow.connectors.people import Person
    from tideflow.connectors.reading import Data
    from tideflow.engine.prune import Prune

PRUNE: tuple[Prune, ...] = ("off", "objects", "everything")

Edge = Literal["nginx", "istio"]
"""What has the load balancer: the 1-click nginx, or Istio's own ingress gateway."""

EDGES: tuple[Edge, ...] = get_args(Edge)

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
_WINDOW = re.compile(
    r"(any|monday|tuesday|wednesday|thursday|friday|saturday|sunday) ([01][0-9]|2[0-3]):[0-5][0-9]", re.ASCII
)


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
    scale_down: bool
    replace_nodes: bool
    high_availability: bool | None
    auto_upgrade: bool | None
    surge_upgrade: bool | None
    maintenance_window: str | None
    cluster_tags: tuple[str, ...] | None
    adopt_cluster: bool
    addons: tuple[str, ...]
    edge: Edge
    balancing: Balancing
    encryption: Encryption
    hostname: str
    email: str
    users: tuple[Person, ...]
    dns_zone: str | None
    dns_wildcard: bool
    dns_overwrite: bool
    dns_wait_seconds: float | None
    change_password: tuple[str, ...]
    rotate_credentials: bool
    timeout_seconds: float
    access_seconds: int
    kubeconfig_seconds: int
    pace: str
    prune: Prune
    keep_volumes: bool
    delete_snapshots: bool
    pod_ready_seconds: tuple[float, float]
    speed: float

    @classmethod
    def read(cls, data: Data, *, rehearsal: bool) -> Settings:
        """Return the settings; raises ``SettingError`` for the first unusable one."""
        hostname = _name(data, "hostname", like="kubeflow.my-company.com")
        zone = reading.if_set(data, "dns_zone", _zone)
        if rehearsal and hostname == PLACEHOLDER_HOSTNAME and zone is None:
            hostname = REHEARSAL_HOSTNAME
        if zone is not None and not f".{hostname}".endswith(f".{zone}"):
            raise SettingError(
                f"the setting hostname is {hostname}, which is not in {zone}, the setting dns_zone",
                hint="the zone is the domain that the hostname is below: my-company.com, or "
                "ml.my-company.com if that is a domain of its own",
            )
        email = reading.text(data, "email")
        if not _EMAIL.fullmatch(email):
            raise SettingError(f"the setting email is {email!r}, which is not an e-mail address")
        version = reading.text(data, "kubernetes_version")
        if not _VERSION.fullmatch(version):
            raise SettingError(
                f"the setting kubernetes_version is {version!r}, not a minor version such as '1.34'",
                hint="on the command line, quote it twice: --data 'kubernetes_version=\"1.30\"'",
            )
        fastest, slowest = reading.seconds(data, "rehearsal_pod_ready_seconds")
        users = people.read(data, email, _EMAIL)
        count = reading.whole(data, "node_count", least=1, most=reading.MOST_NODES)
        return cls(
            region=reading.slug(data, "region"),
            vpc=reading.formed(data, "vpc", _UUID, "the UUID of a VPC"),
            kubernetes_version=version,
            unsupported_kubernetes=reading.flag(data, "unsupported_kubernetes"),
            node_count=count,
            node_size=reading.slug(data, "node_size"),
            node_autoscale=reading.between(data, "node_autoscale", count),
            scale_down=reading.flag(data, "scale_down"),
            replace_nodes=reading.flag(data, "replace_nodes"),
            high_availability=reading.if_set(data, "high_availability", reading.flag),
            auto_upgrade=reading.if_set(data, "auto_upgrade", reading.flag),
            surge_upgrade=reading.if_set(data, "surge_upgrade", reading.flag),
            maintenance_window=reading.formed(
                data, "maintenance_window", _WINDOW, "a day and an hour such as 'sunday 02:00' or 'any 02:00'"
            ),
            cluster_tags=reading.if_set(data, "cluster_tags", reading.tags),
            adopt_cluster=reading.flag(data, "adopt_cluster"),
            addons=reading.slugs(data, "addons"),
            edge=reading.choice(data, "edge", EDGES),
            balancing=Balancing.read(data, hostname),
            encryption=Encryption.read(data, rehearsal=rehearsal, email=email, form=_EMAIL),
            hostname=hostname,
            email=email,
            users=users,
            dns_zone=zone,
            dns_wildcard=reading.flag(data, "dns_wildcard"),
            dns_overwrite=reading.flag(data, "dns_overwrite"),
            dns_wait_seconds=reading.if_set(data, "dns_wait_minutes", _minutes),
            change_password=people.whose(data, "change_password", email, users),
            rotate_credentials=reading.flag(data, "rotate_credentials"),
            timeout_seconds=60 * reading.number(data, "timeout_minutes", least=0.1, most=24 * 60),
            access_seconds=int(60 * reading.number(data, "access_minutes", least=0.1, most=168 * 60)),
            kubeconfig_seconds=int(3600 * reading.number(data, "kubeconfig_hours", least=1, most=168)),
            pace=reading.choice(data, "rehearsal_pace", PACES),
            prune=reading.choice(data, "prune", PRUNE),
            keep_volumes=reading.flag(data, "keep_volumes"),
            delete_snapshots=reading.flag(data, "delete_snapshots"),
            pod_ready_seconds=(fastest, slowest),
            speed=reading.number(data, "rehearsal_speed", least=0.1, most=100_000),
        )

    def refuse_placeholders(self) -> None:
        """Raise ``SettingError`` for all that will not do on a real platform, such as the placeholders."""
        placeholders = (
            ("hostname", self.hostname, PLACEHOLDER_HOSTNAME),
            ("email", self.email, PLACEHOLDER_EMAIL),
        )
        problems = [
            SettingError(
                f"the setting {setting} is still the placeholder {placeholder}",
                hint=f"set {setting} in group_data/all.py to your own; nothing was created",
            )
            for setting, value, placeholder in placeholders
            if value == placeholder
        ]
        problems += self.encryption.hopeless(self.hostname, sources=self.balancing.sources)
        if len(problems) == 1:
            raise problems[0]
        if problems:
            found = "; ".join(f"({at}) {problem.message}" for at, problem in enumerate(problems, 1))
            raise SettingError(
                f"{len(problems)} settings will not do: {found}",
                hint="set them in group_data/all.py, or by --data; nothing was created",
            )


def _name(data: Data, setting: str, *, like: str) -> str:
    """Return a name of DNS, as ``tideflow.clients.names`` writes it."""
    from tideflow.clients import names  # noqa: PLC0415 - where no setting is read, nobody waits for dnspython

    given = reading.text(data, setting)
    try:
        name = names.plain(given)
    except ValueError:
        name = ""
    # It reaches templates, so there is no escaping in it either.
    if "\\" in given or not _HOSTNAME.fullmatch(name):
        raise SettingError(
            f"the setting {setting} is {given!r}, which is not a DNS name",
            hint=f"set it to something like {like}",
        )
    return name


def _zone(data: Data, setting: str) -> str:
    return _name(data, setting, like="my-company.com")


def _minutes(data: Data, setting: str) -> float:
    return 60 * reading.number(data, setting, least=0, most=24 * 60)


def refuse_misspelt(given: Iterable[str], known: Collection[str]) -> None:
    """Raise ``SettingError`` for a name of ``--data`` that is nearly a setting; others may be a deploy's."""
    for name in given:
        swapped = [each for each in known if sorted(each) == sorted(name)]
        near = [] if name in known else swapped or difflib.get_close_matches(name, known, n=1, cutoff=0.8)
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
