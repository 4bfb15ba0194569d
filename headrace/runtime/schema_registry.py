"""Where the schemas of a worker's records are: the setting `schema_registry`."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from headrace.runtime.duration import Duration


class SchemaRegistrySettings(BaseModel):
    """A registry with the API of Confluent's. Frozen; shows no secret."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    url: str
    """Its address, such as `https://registry:8081`; several of one cluster with commas between."""
    user: str | None = None
    """Who asks, where it wants to know."""
    password: SecretStr | None = None
    """Of `user`. In the configuration file write `${secret.NAME}`."""
    ca: Path | None = None
    """A file with the certificates (PEM) of who may have signed the registry's; otherwise those that are well known."""
    certificate: Path | None = None
    """A file with the certificate (PEM) that the worker shows."""
    key: Path | None = None
    """A file with the private key (PEM) of `certificate`."""
    timeout: Annotated[Duration, Field(gt=timedelta(0), le=timedelta(minutes=1))] = timedelta(
        seconds=5
    )
    """How long one answer may take. Two attempts are made before the worker rewinds and tries again later."""

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: str) -> str:
        for one in value.split(","):
            parts = urlsplit(one.strip())
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError("must be an address such as https://registry:8081")
            if "@" in parts.netloc:
                raise ValueError("holds a password; write `user` and `password` beside it")
        return value

    @model_validator(mode="after")
    def _check_pairs(self) -> "SchemaRegistrySettings":
        if (self.user is None) != (self.password is None):
            raise ValueError("'user' and 'password' go together; set both or none")
        if self.key is not None and self.certificate is None:
            raise ValueError("'key' belongs to a 'certificate', which is not set")
        return self
