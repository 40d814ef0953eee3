# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether Synapse answers where it is asked whether it serves."""

from __future__ import annotations

import time
from collections.abc import Callable
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, build_opener

# A server that was just started may take so many tries, a second apart; each takes so many seconds at most.
TRIES = 15
TIMEOUT = 5
_ADVICE = (
    "Correct synapse_health_url: it is /health of a listener of Synapse's, as this host reaches it. If it is right, and"
    " Synapse itself is the matter, stop Synapse: one that does not run is not asked."
)


def health_problems(url: str, *, all_run: bool, wait: Callable[[float], None] = time.sleep) -> list[str]:
    """Why a restart could not be seen to its end by asking at ``url``: nothing healthy answers there now.

    :param url: '' where nothing is asked.
    :param all_run: whether all of Synapse's services run. Where one does not, nothing is known.
    """
    if not url or not all_run:
        return []
    cause = ""
    for number in range(TRIES):
        if number:
            wait(1)
        cause = _ask(url)
        if not cause:
            return []
    problem = f"Could not see that Synapse serves, although its services run: at {url!r} {cause}."
    return [f"{problem} {_ADVICE}"]


def _ask(url: str) -> str:
    """What is wrong with the answer; '' when nothing is. Never by way of a proxy."""
    try:
        with build_opener(ProxyHandler({})).open(url, timeout=TIMEOUT) as answer:
            return "" if answer.status == 200 else f"the answer has the status {answer.status}"
    except HTTPError as error:
        return f"the answer has the status {error.code}"
    except URLError as error:
        return f"there is no answer ({error.reason})"
    except (OSError, ValueError, HTTPException) as error:
        return f"there is no answer ({error})"
