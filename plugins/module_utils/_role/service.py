# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables of one store, judged by what is known of its S3 service. Each gets its value, and all values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .._media.rules import service_profile
from .._media.rules.bucket_name import bucket_dots_problems, bucket_name_problems, bucket_name_warnings
from .._media.rules.endpoint import endpoint_warnings, is_other_endpoint
from .._media.rules.profiles import ServiceProfile
from .._media.rules.region import region_problems
from .._media.rules.sse_c import sse_transport_problems
from .._media.rules.storage_class import storage_class_problems

Values = Mapping[str, Any]
Texts = Sequence[str]


def provider_problems_of(value: str, values: Values) -> Texts:
    return service_profile.provider_problems(value, values["config_endpoint_url"])


def bucket_problems_of(value: str, values: Values) -> Texts:
    dots = bucket_dots_problems(value, values["config_region_name"], values["config_endpoint_url"])
    return [*bucket_name_problems(value, values["config_endpoint_url"]), *dots]


def bucket_warnings_of(value: str, values: Values) -> Texts:
    profile, endpoint_url = _profile(values), values["config_endpoint_url"]
    if profile is None or profile.bucket_names is None or not is_other_endpoint(endpoint_url):
        return bucket_name_warnings(value, endpoint_url)
    return () if bucket_problems_of(value, values) else service_profile.service_bucket_warnings(profile, value)


def region_problems_of(value: str, values: Values) -> Texts:
    return region_problems(value, values["config_endpoint_url"])


def region_warnings_of(value: str, values: Values) -> Texts:
    endpoint_url = values["config_endpoint_url"]
    if region_problems(value, endpoint_url):
        return ()
    return service_profile.service_region_warnings(_profile(values), value, endpoint_url)


def endpoint_warnings_of(value: str, values: Values) -> Texts:
    of_url = [] if service_profile.is_service_address(value) else endpoint_warnings(value, values["config_bucket"])
    return [*of_url, *service_profile.service_endpoint_warnings(values["config_provider"], value)]


def storage_class_problems_of(value: str, values: Values) -> Texts:
    return storage_class_problems(value) or service_profile.service_class_problems(_profile(values), value)


def encryption_problems_of(value: bool, values: Values) -> Texts:
    if not value:
        return ()
    profile = _profile(values)
    over_http = () if service_profile.takes_key_over_http(profile) else _over_http(values)
    return service_profile.service_encryption_problems(profile) or over_http


def encryption_warnings_of(value: bool, values: Values) -> Texts:
    if not value or not service_profile.takes_key_over_http(_profile(values)) or not _over_http(values):
        return ()
    return ["is true, and endpoint_url is plain http: the key can be read on the way. Use an https endpoint_url."]


def _over_http(values: Values) -> Texts:
    return sse_transport_problems(values["config_endpoint_url"])


def _profile(values: Values) -> ServiceProfile | None:
    return service_profile.choose_profile(values["config_provider"], values["config_endpoint_url"])
