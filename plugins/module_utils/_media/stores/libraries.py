# SPDX-License-Identifier: GPL-3.0-or-later
"""The libraries of others that are imported when a file is, in the one place that does without them.

Ansible imports each file of a collection where they are missing, and so does whoever only reads one. What starts a run
asks ``missing_library`` first.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    import boto3
    import botocore
    import botocore.auth
    import botocore.awsrequest
    import botocore.config
    import botocore.credentials
    import botocore.exceptions
    import botocore.httpsession
    import botocore.parsers
    import botocore.session
    import botocore.utils
    import urllib3
    import urllib3.exceptions
    import urllib3.util.ssl_match_hostname
    import yaml

__all__ = ["boto3", "botocore", "missing_library", "urllib3", "yaml"]

# The modules of each that are used.
_MODULES = {
    "boto3": ("boto3",),
    "botocore": (
        "botocore.auth",
        "botocore.awsrequest",
        "botocore.config",
        "botocore.credentials",
        "botocore.exceptions",
        "botocore.httpsession",
        "botocore.parsers",
        "botocore.session",
        "botocore.utils",
    ),
    "urllib3": ("urllib3.exceptions", "urllib3.util.ssl_match_hostname"),
    "yaml": ("yaml",),
}
_missing: list[str] = []


class _Missing:
    """Stands for a library and all that is in it: it can be named, but not called."""

    def __init__(self, error: ImportError) -> None:
        self._error = error

    def __getattr__(self, _name: str) -> _Missing:
        return self

    def __call__(self, *_arguments: object, **_options: object) -> NoReturn:
        raise self._error


def missing_library() -> str | None:
    """The name of a library that a file imported so far needs, and that is not there."""
    return _missing[0] if _missing else None


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Import a library when a file first asks for it: not each run needs every one."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        try:
            for module in _MODULES[name]:
                import_module(module)
            library = import_module(name)
        except ImportError as error:
            _missing.append(error.name or name)
            library = _Missing(error)
        globals()[name] = library
        return library
