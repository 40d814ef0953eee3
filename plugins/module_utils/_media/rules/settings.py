# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of Synapse's storage provider, from the ``config:`` mapping of its entry in Synapse's configuration.

They were accepted by Synapse already. So only what can't work is refused here: see the ``obstacles`` of the rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .bucket_name import bucket_name_obstacles
from .endpoint import endpoint_obstacles
from .errors import ConfigurationError, join_problems
from .prefix import prefix_obstacles
from .region import region_obstacles
from .sse_c import SSE_ALGORITHM, sse_algorithm_problems, sse_key_problems
from .storage_class import DEFAULT_STORAGE_CLASS, storage_class_problems


@dataclass(frozen=True)
class BucketSettings:
    """How to reach the bucket, with the names of Synapse's storage provider. Its text shows no secret."""

    bucket: str
    prefix: str = ""
    region_name: str | None = None
    endpoint_url: str | None = None
    access_key_id: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    storage_class: str = DEFAULT_STORAGE_CLASS
    sse_customer_key: str | None = field(default=None, repr=False)
    sse_customer_algo: str = SSE_ALGORITHM
    ca_bundle_path: str | None = None


def bucket_settings(provider_config: Mapping[str, object]) -> BucketSettings:
    """Read the provider's ``config:`` mapping as the provider reads it; other keys are ignored, as it ignores them.

    :raises ConfigurationError: naming every setting that can't work.
    """
    settings, problems = read_bucket_settings(provider_config)
    if problems:
        message = f"Could not use the S3 settings in Synapse's configuration: {join_problems(problems)}"
        raise ConfigurationError(message)
    return settings


def read_bucket_settings(provider_config: Mapping[str, object]) -> tuple[BucketSettings, list[str]]:
    """As `bucket_settings`, but with what can't work, one text a problem: then the settings are not to be used."""
    reader = _Reader(provider_config)
    settings = BucketSettings(
        bucket=reader.text("bucket", required=True) or "",
        prefix=reader.text("prefix") or "",
        region_name=reader.scalar("region_name"),
        endpoint_url=reader.text("endpoint_url", nullable=True),
        access_key_id=reader.scalar("access_key_id"),
        secret_access_key=reader.scalar("secret_access_key", nullable=True),
        session_token=reader.scalar("session_token", nullable=True),
        storage_class=reader.text("storage_class", default=DEFAULT_STORAGE_CLASS) or "",
        sse_customer_key=reader.key("sse_customer_key"),
        sse_customer_algo=reader.text("sse_customer_algo", default=SSE_ALGORITHM) or "",
    )
    problems = reader.problems + [
        f"{name}: {text}"
        for name, texts in _obstacles(settings).items()
        if name not in reader.unreadable
        for text in texts
    ]
    return settings, problems


def _obstacles(settings: BucketSettings) -> Mapping[str, list[str]]:
    has_key = settings.sse_customer_key is not None
    return {
        "bucket": bucket_name_obstacles(settings.bucket),
        "prefix": prefix_obstacles(settings.prefix),
        "region_name": region_obstacles(settings.region_name, settings.endpoint_url),
        "endpoint_url": endpoint_obstacles(settings.endpoint_url),
        "access_key_id": _credential_obstacles(settings.access_key_id, settings.secret_access_key, "secret_access_key"),
        "secret_access_key": _credential_obstacles(settings.secret_access_key, settings.access_key_id, "access_key_id"),
        "storage_class": storage_class_problems(settings.storage_class),
        "sse_customer_key": sse_key_problems(settings.sse_customer_key or "") if has_key else [],
        "sse_customer_algo": sse_algorithm_problems(settings.sse_customer_algo) if has_key else [],
    }


def _credential_obstacles(value: str | None, partner: str | None, partner_name: str) -> list[str]:
    """Without both, boto3 looks elsewhere for credentials; with one of them it gives up."""
    if value == "":
        return ["is empty. Write it, or remove the line to use the credentials of this host."]
    if value is None and partner is not None:
        return [f"is missing, but {partner_name} is set. Write both, or neither."]
    return []


class _Reader:
    """Takes values out of the mapping and collects what is wrong with their types."""

    def __init__(self, config: Mapping[str, object]) -> None:
        self._config = config
        self.unreadable: set[str] = set()
        self.problems: list[str] = []

    def text(
        self, name: str, *, default: str | None = None, required: bool = False, nullable: bool = False
    ) -> str | None:
        """A value that the provider hands on as it is, so that only a text works."""
        if name not in self._config:
            if required:
                self._refuse(name, "is missing. Write it.")
            return default
        value = self._config[name]
        if isinstance(value, str) or (value is None and nullable):
            return value
        self._refuse(name, "is not a text. Write a text, in quotes if need be.")
        return None

    def scalar(self, name: str, *, nullable: bool = False) -> str | None:
        """A value that ends as a text, be it a number in YAML. An empty value would become the text 'None'."""
        value = self._config.get(name)
        if name not in self._config or (value is None and nullable):
            return None
        if isinstance(value, (str, int, float)):
            return str(value)
        self._refuse(name, "is not a text. Write a text, in quotes if need be, or remove the line.")
        return None

    def key(self, name: str) -> str | None:
        """The SSE-C key: a text, or YAML's ``!!binary`` as long as it holds text."""
        value = self._config.get(name)
        if name not in self._config or isinstance(value, str):
            return value if isinstance(value, str) else None
        if isinstance(value, bytes):
            try:
                return value.decode()
            except UnicodeDecodeError:
                pass
        self._refuse(name, "is not a text. Write a text of exactly 32 characters.")
        return None

    def _refuse(self, name: str, text: str) -> None:
        self.unreadable.add(name)
        self.problems.append(f"{name}: {text}")
