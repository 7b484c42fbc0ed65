"""Every error Tideflow raises on purpose.

Each says what happened, to what, and what to do next, in words for whoever ran the command. Exceptions of
libraries are translated into these once, in the module that calls the library. Nothing secret goes into one:
their text is printed.

::

    TideflowError
    ├── SettingError          a setting, or an input such as a password, is missing or not usable
    ├── FileError             a file of our own cannot be written: the disk is full, or the folder not ours
    ├── ManifestError         a manifest cannot be read, or says something impossible
    ├── VendoringError        upstream cannot be fetched or rendered, or what came out is not whole
    ├── RehearsalError        a program of the rehearsal cannot be built, started or found
    ├── GraphError            objects that wait for each other, or for something nobody makes
    ├── ApplyError            objects were not applied, or did not get ready
    ├── DNSError              whom to ask about a name cannot be found out
    ├── UnreachedError        somebody outside gets no connection, or no answer
    └── ServiceError          a server refused, failed, or could not be reached
        ├── KubernetesError
        └── DigitalOceanError
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Cause:
    """One of the things that the Kubernetes API server holds against a write.

    ``reason`` is the API's word, such as ``FieldManagerConflict``; ``field`` a path such as
    ``.spec.replicas``; ``message`` says more.
    """

    reason: str
    field: str
    message: str


class TideflowError(Exception):
    """Something a person has to know about.

    ``message`` is one line that says what happened and to what; ``hint`` one line that says what to do next.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """Return the message and the hint, on one line."""
        return f"{self.message}; {self.hint}" if self.hint else self.message


class SettingError(TideflowError):
    """A setting or an input is missing or not usable; nothing was changed."""


class FileError(TideflowError):
    """A file or folder of Tideflow's own cannot be written or used; what was there is as it was."""


class ManifestError(TideflowError):
    """A manifest cannot be read or says something impossible; nothing was written."""


class VendoringError(TideflowError):
    """Upstream could not be fetched or rendered, or the result is not whole; ``vendored/`` is as it was."""


class RehearsalError(TideflowError):
    """A program of the rehearsal could not be built, started or found."""


class GraphError(TideflowError):
    """Objects wait for each other, or for something that nobody makes; nothing was written."""


class ApplyError(TideflowError):
    """Some objects were not applied or did not get ready."""


class DNSError(TideflowError):
    """Which name servers to ask about a name cannot be found out, or none of them can be reached."""


class UnreachedError(TideflowError):
    """Somebody outside gets no connection, or no answer; ``kind`` says how far it goes."""

    def __init__(
        self, message: str, *, kind: Literal["not found", "refused", "timed out", "silent", "no TLS", "cut"]
    ) -> None:
        super().__init__(message)
        self.kind = kind


class ServiceError(TideflowError):
    """A server refused, failed, or could not be reached.

    ``status`` is the HTTP status, 0 when there was no answer. ``retry_after`` is in seconds, if it was given.
    """

    def __init__(
        self, message: str, *, status: int = 0, retry_after: float | None = None, hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.retry_after = retry_after


class KubernetesError(ServiceError):
    """The Kubernetes API server refused, failed, or could not be reached.

    ``reason`` is the API's own word for it, such as ``NotFound`` or ``Invalid``; ``causes`` are the details,
    if it gave any.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        reason: str = "",
        causes: tuple[Cause, ...] = (),
        retry_after: float | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message, status=status, retry_after=retry_after, hint=hint)
        self.reason = reason
        self.causes = causes


class DigitalOceanError(ServiceError):
    """The API of DigitalOcean refused, failed, or could not be reached.

    ``id`` is the API's own word for it, such as ``not_found``; ``request_id`` is what its support asks for.
    ``unsure`` says of a change that it may have been made all the same.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        id: str = "",  # noqa: A002 - the field's name in the API
        request_id: str = "",
        retry_after: float | None = None,
        unsure: bool = False,
        hint: str = "",
    ) -> None:
        super().__init__(message, status=status, retry_after=retry_after, hint=hint)
        self.id = id
        self.request_id = request_id
        self.unsure = unsure
