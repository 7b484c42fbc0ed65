"""What ``vendored/kubeflow.toml`` says: which releases there are, and what Tideflow knows about each.

The file is for people to read and change, so whatever is wrong with it is an error that names the key.
"""

from __future__ import annotations

import tomllib
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from tideflow.errors import VendoringError

if TYPE_CHECKING:
    from pathlib import Path

# A commit is pinned by its whole hash: a shorter one can become ambiguous, and a tag can be moved.
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
Minor = Annotated[str, Field(pattern=r"^1\.[0-9]+$")]
# These become names of folders.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Pointer = Annotated[str, Field(pattern=r"^/.")]
Text = Annotated[str, Field(min_length=1)]
# The namespace and the name of a Deployment.
Reader = Annotated[str, Field(pattern=r"^[a-z0-9-]+/[a-z0-9.-]+$")]

_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Remote:
    """A repository that the kustomizations of a release fetch, and the URL they name it by.

    With ``{path}`` in ``url`` any folder of the repository can be meant. Without it ``url`` is a file which
    its project publishes, and ``render`` the folder of the repository from which that file is made.
    """

    name: Name
    repository: Text
    commit: Commit
    url: Text
    render: Text | None = None

    def path_of(self, url: str) -> str | None:
        """Return the folder inside the repository that ``url`` means, ``""`` for a file, None if neither."""
        before, placeholder, after = self.url.partition("{path}")
        if not placeholder:
            return "" if url == self.url else None
        if url.startswith(before) and url.endswith(after) and len(url) > len(before) + len(after):
            return url[len(before) : len(url) - len(after)]
        return None


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class ObjectPattern:
    """Which objects are meant. ``name`` is a shell pattern, since kustomize appends digests to some names."""

    kind: Text
    namespace: str = ""
    name: Text

    def matches(self, obj: dict[str, Any]) -> bool:
        """Say whether ``obj``, a Kubernetes object, is meant."""
        metadata = obj["metadata"]
        return bool(
            obj["kind"] == self.kind
            and metadata.get("namespace", "") == self.namespace
            and fnmatchcase(metadata["name"], self.name)
        )

    def __str__(self) -> str:
        """Return the pattern as messages name objects."""
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class StatedGate:
    """A dependency that cannot be seen in the structure of the objects.

    Workloads whose pods are changed by the MutatingWebhookConfiguration ``injected_by`` are not written
    before the object ``after`` is ready.
    """

    injected_by: Text
    after: ObjectPattern
    reason: Text


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Patch(ObjectPattern):
    """A value inside a vendored object that has to be another than upstream's; see ``patching``.

    ``path`` is a JSON pointer. The value there is ``was`` or, if it is text, contains it; otherwise the patch
    does not fit this release any more. It becomes ``becomes``, in which ``{email}`` stands for the setting,
    and ``{certificate}`` for the Secret with the hostname's certificate. With an ``edge`` it is for platforms
    with that setting only, with ``tls`` for those that have TLS (``on``), or a certificate of Let's Encrypt.
    """

    path: Pointer
    was: Any
    becomes: Any
    reason: Text
    edge: Literal["", "istio", "nginx"] = ""
    tls: Literal["", "on", "acme"] = ""


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Credential(ObjectPattern):
    """A key of a Secret that is the same in every installation, and the kind of value to generate instead.

    Credentials with the same ``group`` get the same value. ``form`` is one of

    - ``bcrypt``: the hash of a random password that nobody knows, so nobody gets in before one is chosen
    - ``cookie``: 32 random bytes in URL-safe base64, which oauth2-proxy decodes to a key for AES-256
    - ``access-key``: 20 letters and digits
    - ``password``: 32 letters and digits; these end up in shell commands and connection strings

    ``default`` is what upstream ships, of a hash the password. ``readers`` are the Deployments whose pods
    read the key when they start, as ``namespace/name``; what keeps the key is before what logs in with it.
    ``database`` is the one among them that has the value in its own data too, and goes by that.
    """

    key: Text
    form: Literal["bcrypt", "cookie", "access-key", "password"]
    group: str = ""
    default: str | None = Field(default=None, repr=False)
    readers: tuple[Reader, ...] = ()
    database: str = ""

    def is_default(self, value: bytes | None) -> bool:
        """Tell whether a value, None for a key that a Secret lacks, is the one that upstream ships."""
        if self.default is None:
            return False
        if self.form != "bcrypt":
            return (value or b"") == self.default.encode()
        import bcrypt  # noqa: PLC0415 - a compiled library that few steps need

        try:
            return value is not None and bcrypt.checkpw(self.default.encode(), value)
        except ValueError:  # it is no hash
            return False


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Release:
    """One release of Kubeflow and all that is stated about it.

    ``render`` is the folder of the repository to render, ``kubernetes`` the minor versions that the release
    runs on.
    """

    name: Name
    repository: Text
    commit: Commit
    render: Text
    kubernetes: Annotated[tuple[Minor, ...], Field(min_length=1)]
    remotes: tuple[Remote, ...] = ()
    gates: tuple[StatedGate, ...] = ()
    patches: tuple[Patch, ...] = ()
    credentials: tuple[Credential, ...] = ()


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Pins:
    """The whole file. Gates, patches and credentials at its top level are those of every release."""

    default: Name
    releases: dict[str, Release]
    gates: tuple[StatedGate, ...] = ()
    patches: tuple[Patch, ...] = ()
    credentials: tuple[Credential, ...] = ()

    def release(self, name: str | None = None) -> Release:
        """Return the release called ``name``, or the default one, with what is stated for all releases.

        Raise VendoringError, which lists the releases, if there is none of that name.
        """
        wanted = name or self.default
        if wanted not in self.releases:
            known = ", ".join(self.releases)
            raise VendoringError(
                f"kubeflow.toml has no release {wanted!r}",
                hint=f"it has {known}; add its commit to pin another",
            )
        own = self.releases[wanted]
        return replace(
            own,
            gates=self.gates + own.gates,
            patches=self.patches + own.patches,
            credentials=self.credentials + own.credentials,
        )


def read(path: Path) -> Pins:
    """Read the pins from the file at ``path``.

    Raise VendoringError if it is not there, is not TOML, or says what it cannot say.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as e:
        raise VendoringError(f"{path} is not there", hint="run this in the folder of the project") from e
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as e:
        raise VendoringError(f"{path} cannot be read: {e}") from e
    releases = data.get("releases")
    for name, release in releases.items() if isinstance(releases, dict) else ():
        if isinstance(release, dict):
            release["name"] = name
    try:
        pins = TypeAdapter(Pins).validate_python(data)
    except ValidationError as e:
        errors = e.errors(include_url=False, include_input=False)
        # A key that is not known tells more than the one that is missed because of the misspelling.
        first = min(errors, key=lambda error: error["type"] != "unexpected_keyword_argument")
        key = ".".join(str(part) for part in first["loc"])
        raise VendoringError(f"{path}: {key}: {first['msg']}") from e
    pins.release()
    return pins
