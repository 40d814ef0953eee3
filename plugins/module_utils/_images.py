# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of container images."""

from __future__ import annotations


def full_name(name: str) -> str:
    """What Docker takes a short name for: ``docker.io/matrixdotorg/synapse:latest`` for ``matrixdotorg/synapse``.

    https://pkg.go.dev/github.com/distribution/reference#ParseNormalizedNamed
    """
    registry, slash, path = name.partition("/")
    if not slash:
        name = f"docker.io/library/{name}"
    elif registry != "localhost" and not set(".:") & set(registry):
        name = f"docker.io/{name}"
    elif registry == "docker.io" and "/" not in path:
        name = f"docker.io/library/{path}"
    return name if set("@:") & set(name.rpartition("/")[2]) else f"{name}:latest"


def base_problems(service: str, now: str, base: str) -> list[str]:
    """Why a service that has the image ``now`` can't be given one that is built from ``base``."""
    if full_name(now) == full_name(base):
        return []
    problem = f"Could not give {service!r} an image built from {base!r}: it has {now!r} now"
    advice = "Give that image as Synapse's; to change the version, do it before or after."
    return [f"{problem}, and Synapse's version could change. {advice}"]
