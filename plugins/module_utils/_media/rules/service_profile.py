# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings judged by the profile of the S3 service that they are for.

``..._problems`` are what the service's own pages, or a run against it, say can't work. ``..._warnings`` are what they
say is to be otherwise, though it may work: the trial of the bucket tells.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from .endpoint import host_name, is_aws_endpoint
from .profiles import AMAZON, PROFILES, ServiceProfile
from .profiles.model import Others, SseC, StorageClasses
from .settings import BucketSettings
from .storage_class import STORAGE_CLASSES

_ANY_PART = r"[A-Za-z0-9-]+"
_BRACES = re.compile(r"\{(\w+)\}")


def find_profile(endpoint_url: str | None) -> ServiceProfile | None:
    """The service that an endpoint is of; none (None or '') is Amazon's. None: no service's that is known here."""
    if not endpoint_url or is_aws_endpoint(endpoint_url):
        return AMAZON
    host = host_name(endpoint_url)
    return next((profile for profile in PROFILES.values() if _matches(profile, host)), None)


def is_service_address(endpoint_url: str) -> bool:
    """Whether an endpoint is what a service's own pages say, to the path."""
    scheme, _unused, rest = endpoint_url.rstrip("/").partition("://")
    return scheme == "https" and any(
        re.fullmatch(_pattern(url.partition("://")[2]), rest)
        for profile in PROFILES.values()
        for url in (profile.endpoints.value if profile.endpoints else ())
    )


def choose_profile(name: str, endpoint_url: str) -> ServiceProfile | None:
    """The profile to go by. Where the endpoint is a service's own, that is more certain than the name."""
    return find_profile(endpoint_url) or PROFILES.get(name)


def provider_problems(name: str, endpoint_url: str) -> list[str]:
    """What is wrong with ``name`` as the service of ``endpoint_url`` ('' for Amazon S3)."""
    if not name:
        return []
    profile = PROFILES.get(name)
    if profile is None:
        closest = difflib.get_close_matches(name.lower(), PROFILES, n=1, cutoff=0.7)
        hint = f" Did you mean {closest[0]!r}?" if closest else ""
        return [f"{name!r} is not an S3 service known here.{hint} Use {_choice(PROFILES)}, or ''."]
    found = find_profile(endpoint_url)
    if found in (None, profile) or (found and found.runs and found.runs.value == name):
        return []
    if not endpoint_url:
        return [
            f"{name!r} needs endpoint_url, which is empty and so stands for Amazon S3. Set it to {_address(profile)}."
        ]
    title = found.title if found else ""
    return [f"{name!r} does not fit endpoint_url, which is of {title}. Correct one or the other."]


def service_endpoint_warnings(name: str, endpoint_url: str) -> list[str]:
    """What of an endpoint is probably not meant: another address than the service has, or a region it does not know."""
    profile = PROFILES.get(name)
    if profile and profile.endpoints and endpoint_url and find_profile(endpoint_url) is None:
        return [f"is not an address of {profile.title} known here, {_address(profile)}. Check it, and config_provider."]
    found = find_profile(endpoint_url)
    region = _region_of(found, endpoint_url) if found and found is not AMAZON else ""
    names = found.regions.value.names if found and found.regions else ()
    if found is None or not region or not names or region in names:
        return []
    closest = difflib.get_close_matches(region, names, n=1, cutoff=0.7)
    hint = f" Did you mean {closest[0]!r}?" if closest else ""
    return [f"names {region!r}, which is no region of {found.title} known here.{hint} Known are {_list(names)}."]


def service_region_warnings(profile: ServiceProfile | None, region: str, endpoint_url: str) -> list[str]:
    """Where ``region`` is another than the service's pages say. That it is refused for that, none of them says.

    Amazon's regions have rules of their own, in region.py.
    """
    if profile in (None, AMAZON) or not (profile and profile.regions and profile.regions.value.is_signed_for):
        return []
    names, own = profile.regions.value.names, _region_of(profile, endpoint_url)
    if own and region and region != own:
        cause = f"{region!r} is not the region of endpoint_url, {own!r}"
        known = f" The regions of {profile.title} known here are {_list(names)}." if names else ""
        return [f"{cause}. Write {own!r}, or correct endpoint_url.{known}"]
    if not own and region and names and region not in names:
        return [f"{region!r} is no region of {profile.title}. Use {_choice(names)}."]
    return []


def service_class_problems(profile: ServiceProfile | None, storage_class: str) -> list[str]:
    """What is wrong with a storage class that Synapse's storage provider accepts, at this service."""
    if profile is None or profile.storage_classes is None:
        return []
    classes = profile.storage_classes.value
    found = next((each for each in classes.known if each.name == storage_class), None)
    if found and found.at_once and found.is_kept:
        return []
    if found is None and classes.others is Others.UNKNOWN:
        return []
    if found and not found.at_once:
        cause = f"is an archive at {profile.title}: Synapse could not read media back at once"
    elif found or classes.others is Others.IGNORED:
        cause = f"is accepted by {profile.title}, but objects are kept in another class"
    else:
        cause = f"is no storage class of {profile.title}"
    return [f"{storage_class!r} {cause}. Use {_choice(_usable(classes))}."]


def usable_classes(endpoint_url: str | None) -> str:
    """Which storage classes are good for Synapse at the service of an endpoint; '' where not all are known."""
    profile = find_profile(endpoint_url)
    if profile is None or profile.storage_classes is None or profile.storage_classes.value.others is Others.UNKNOWN:
        return ""
    return _choice(_usable(profile.storage_classes.value))


def service_encryption_problems(profile: ServiceProfile | None) -> list[str]:
    """What is wrong with a key of the customer (SSE-C) at this service."""
    if profile is None or profile.sse_c is None or profile.sse_c.value.is_usable:
        return []
    cause = {
        SseC.IGNORED: f"{profile.title} accepts the key, and stores objects without encryption",
        SseC.NOT_OFFERED: f"{profile.title} does not offer encryption with a key of yours",
    }[profile.sse_c.value]
    return [f"is true, but {cause}. Set it to false, or use a service that has SSE-C."]


def service_hints(settings: BucketSettings) -> list[str]:
    """What is known of the service that may explain why these settings don't work, a sentence or two each."""
    profile, endpoint_url = find_profile(settings.endpoint_url), settings.endpoint_url or ""
    if profile is None or profile is AMAZON:
        return []
    region = settings.region_name or ""
    found = [
        *(f"region_name: {text}" for text in service_region_warnings(profile, region, endpoint_url)),
        *(f"endpoint_url: {text}" for text in service_endpoint_warnings("", endpoint_url)),
        *(f"storage_class: {text}" for text in service_class_problems(profile, settings.storage_class)),
        *(f"bucket: {text}" for text in service_bucket_warnings(profile, settings.bucket)),
    ]
    lacks = " ".join(lack.value for lack in profile.lacks)
    return [*found, f"The server is of {profile.title}. {lacks}".rstrip()]


def takes_key_over_http(profile: ServiceProfile | None) -> bool:
    """Whether the service is known to encrypt with a key that came over plain http."""
    return bool(profile and profile.sse_c and profile.sse_c.value is SseC.ALSO_OVER_HTTP)


def service_bucket_warnings(profile: ServiceProfile | None, name: str) -> list[str]:
    """What the service's own rules hold against the name of a bucket."""
    if profile is None or profile.bucket_names is None:
        return []
    rules = profile.bucket_names.value
    if rules.minimum <= len(name) <= rules.maximum and re.fullmatch(rules.pattern, name):
        return []
    rule = f"by the rules of {profile.title}: {rules.words}"
    return [f"{name!r} is no name of a bucket {rule}. Whether it takes the name, the trial of it tells."]


def _matches(profile: ServiceProfile, host: str) -> bool:
    urls = profile.endpoints.value if profile.endpoints else ()
    return any(re.fullmatch(_host_pattern(url), host) for url in urls)


def _host_pattern(url: str) -> str:
    return _pattern(url.partition("://")[2].partition("/")[0])


def _pattern(text: str) -> str:
    """A regular expression for a text with parts in braces; each is a group by its name."""
    parts = _BRACES.split(text)
    return "".join(f"(?P<{part}>{_ANY_PART})" if number % 2 else re.escape(part) for number, part in enumerate(parts))


def _region_of(profile: ServiceProfile, endpoint_url: str) -> str:
    """The region that the host of the endpoint stands for; '' where it tells none."""
    if profile.endpoints is None or profile.regions is None:
        return ""
    aliases = dict(profile.regions.value.aliases)
    for url in profile.endpoints.value:
        match = re.fullmatch(_host_pattern(url), host_name(endpoint_url))
        if match:
            named = match.groupdict().get("region", "")
            return aliases.get(named, named)
    return ""


def _usable(classes: StorageClasses) -> list[str]:
    return [each.name for each in classes.known if each.at_once and each.is_kept and each.name in STORAGE_CLASSES]


def _address(profile: ServiceProfile) -> str:
    """Where the service is, for a message."""
    if profile.endpoints is None:
        return "the address of your server"
    return " or ".join(repr(_BRACES.sub(lambda part: part[1].upper(), url)) for url in profile.endpoints.value)


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)


def _choice(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last
