# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of S3 services, as data: the one place for it. docs/s3-services.md is made from it.

A fact has the page or the run that it comes from, or it is not here.
"""

from __future__ import annotations

from collections.abc import Mapping

from .clouds import AMAZON, CLOUDS
from .clouds_of_europe import CLOUDS_OF_EUROPE
from .model import ServiceProfile
from .servers import SERVERS

__all__ = ["AMAZON", "PROFILES", "ServiceProfile"]

# By name, which is what config_provider is set to.
PROFILES: Mapping[str, ServiceProfile] = {
    profile.name: profile
    for profile in (
        AMAZON,
        *sorted((*CLOUDS[1:], *CLOUDS_OF_EUROPE), key=lambda profile: profile.title.lower()),
        *SERVERS,
    )
}
