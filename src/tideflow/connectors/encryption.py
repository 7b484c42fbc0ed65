"""Whether the hostname is served over TLS, and where its certificate comes from: the settings of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self, get_args

from tideflow.connectors import reading
from tideflow.errors import SettingError

if TYPE_CHECKING:
    import re
    from collections.abc import Collection, Iterator

    from tideflow.connectors.reading import Data

Mode = Literal["acme", "files", "self-signed", "off"]
"""Who issues the certificate: Let's Encrypt, somebody else before, a CA of the platform's own, or nobody."""

MODES: tuple[Mode, ...] = get_args(Mode)

_FILES = ("tls_certificate", "tls_key")
OF_THIS_MACHINE = ".localhost"
"""What names end with that lead to oneself, and are in no zone (RFC 6761)."""


@dataclass(frozen=True, kw_only=True)
class Encryption:
    """The settings; ``acme_email`` is None if it is not set, the files unless ``mode`` is ``files``."""

    mode: Mode
    acme_email: str | None
    certificate: Path | None
    key: Path | None

    @classmethod
    def read(cls, data: Data, *, rehearsal: bool, email: str, form: re.Pattern[str]) -> Self:
        """Return them; raises ``SettingError`` for the first unusable one.

        A rehearsal writes to nobody, so ``email`` will do there for an ``acme_email`` that is not set.
        """
        usual: Mode = "self-signed" if rehearsal else "acme"
        mode = usual if data.get("tls") is None else reading.choice(data, "tls", MODES)
        acme_email = reading.if_set(data, "acme_email", reading.text)
        if acme_email is not None and not form.fullmatch(acme_email):
            raise SettingError(f"the setting acme_email is {acme_email!r}, which is not an e-mail address")
        certificate, key = (reading.if_set(data, name, reading.text) for name in _FILES)
        for name, value in zip(_FILES, (certificate, key), strict=True):
            if (value is None) is (mode == "files"):
                has = "needs it" if mode == "files" else f'makes no use of it, being "{mode}"'
                raise SettingError(
                    f"the setting {name} is {'not ' if value is None else ''}set, and the setting tls {has}",
                    hint='with tls = "files", set tls_certificate and tls_key to the paths of PEM files; '
                    "with another, to neither",
                )
        return cls(
            mode=mode,
            acme_email=acme_email or (email if rehearsal else None),
            certificate=Path(certificate).expanduser() if certificate else None,
            key=Path(key).expanduser() if key else None,
        )

    @property
    def is_on(self) -> bool:
        """Whether there is TLS at all."""
        return self.mode != "off"

    @property
    def secret_name(self) -> str:
        """The Secret with the certificate; each mode has its own, so that none writes over another's."""
        return f"kubeflow-tls-{self.mode}"

    def hopeless(self, hostname: str, *, sources: Collection[str] | None) -> Iterator[SettingError]:
        """Yield what Let's Encrypt would refuse in the end; for real platforms."""
        if self.mode != "acme":
            return
        other = 'or set tls to "files" or "self-signed"; nothing was created'
        if self.acme_email is None:
            yield SettingError(
                "the setting acme_email is not set, and Let's Encrypt wants to know whom to write to",
                hint=f"set acme_email in group_data/all.py to an address of yours, {other}",
            )
        if hostname.endswith(OF_THIS_MACHINE):
            yield SettingError(
                f"the setting hostname is {hostname}, for which Let's Encrypt issues no certificate",
                hint=f"set hostname to a name that the world can look up, {other}",
            )
        if sources is not None:
            yield SettingError(
                "the setting load_balancer_sources keeps Let's Encrypt out, which checks the name over HTTP "
                "from addresses that it does not tell",
                hint=f"unset load_balancer_sources, {other}",
            )
