# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter ``without_secrets``. Its documentation is in the YAML file beside."""

from __future__ import annotations

from collections.abc import Callable, Mapping

SECRETS = ("secret_access_key", "session_token", "sse_customer_key")


def without_secrets(value: str, config: Mapping[str, str]) -> str:
    """The text, with stars for each secret of the provider's settings."""
    # The longest first: one may be a part of another.
    for secret in sorted((str(config[name]) for name in SECRETS if config.get(name)), key=len, reverse=True):
        value = value.replace(secret, "********")
    return value


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[[str, Mapping[str, str]], str]]:
        """Filters by name."""
        return {"without_secrets": without_secrets}
