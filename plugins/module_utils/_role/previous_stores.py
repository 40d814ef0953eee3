# SPDX-License-Identifier: GPL-3.0-or-later
"""Former stores: each a mapping with the keys of the ``config_`` variables, and judged by the rules of those."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .._media.rules.place import place_of
from .kinds import kind_problems

if TYPE_CHECKING:
    from .variables import Values, Variable

NAME = "previous_stores"
# What the variables of the main store begin with
MAIN = "config_"
PROVIDER_MODULE = "s3_storage_provider.S3StorageProviderBackend"

Variables = Mapping[str, "Variable"]


def store_problems(stores: object, variables: Variables, values: Values) -> list[tuple[str, str]]:
    """Everything that is wrong with the list: the name of what each problem is about, and its text.

    :param stores: the value as it was given.
    :param values: all variables by short name, the main store's among them.
    """
    if not isinstance(stores, (list, tuple)):
        return [(NAME, "is not a list. Write each former store after '- ', with its bucket and its other settings.")]
    found: list[tuple[str, str]] = []
    places = [_place(values)]
    for number, store in enumerate(stores):
        name = f"{NAME}[{number}]"
        if not isinstance(store, Mapping):
            found.append((name, "is not a mapping. Write its bucket and its other settings, as 'bucket: name'."))
            continue
        found += _one_store(name, store, variables, values)
        place = _place(store_values(store, variables, values))
        if place in places:
            which = "of the config_ variables" if place == places[0] else f"of {NAME}[{places.index(place) - 1}]"
            found.append((name, f"is the place {which}: bucket, prefix and endpoint_url are the same. Remove it."))
        places.append(place)
    return found


def store_warnings(stores: object, variables: Variables, values: Values) -> list[tuple[str, str]]:
    """What of it is probably not meant, as `store_problems`."""
    return [
        (f"{NAME}[{number}].{key}", text)
        for number, store in enumerate(stores if isinstance(stores, (list, tuple)) else ())
        if isinstance(store, Mapping)
        for of_store in [store_values(store, variables, values)]
        for key, variable in _settings(variables).items()
        for text in variable.warnings(of_store[MAIN + key], of_store)
    ]


def provider_entries(stores: object, variables: Variables) -> list[dict[str, Any]]:
    """The items of Synapse's list ``media_storage_providers``: Synapse reads from each, and stores nothing there.

    Only what is set is in them: a key without a value means something else than no key. Nothing is judged.
    """
    given = [store for store in stores if isinstance(store, Mapping)] if isinstance(stores, (list, tuple)) else []
    return [
        {
            "module": PROVIDER_MODULE,
            "store_local": False,
            "store_remote": False,
            "store_synchronous": False,
            "config": _provider_config(store_values(store, variables, {})),
        }
        for store in given
    ]


def store_values(store: Mapping[Any, object], variables: Variables, values: Values) -> Values:
    """All variables by short name as if this were the main store; what is not given, or is of a wrong kind, has its
    default."""
    own = {
        MAIN + key: store[key] if key in store and not kind_problems(variable.kind, store[key]) else variable.default
        for key, variable in _settings(variables).items()
    }
    return {**values, **own}


def _one_store(name: str, store: Mapping[Any, object], variables: Variables, values: Values) -> list[tuple[str, str]]:
    settings = _settings(variables)
    of_store = store_values(store, variables, values)
    found = [
        (f"{name}.{key}", text)
        for key, variable in settings.items()
        for text in (kind_problems(variable.kind, store[key], secret=variable.secret) if key in store else [])
        or variable.problems(of_store[MAIN + key], of_store)
    ]
    unknown = [str(key) for key in store if key not in settings]
    return found + [
        (f"{name}.{key}", f"is no setting of a store. Use {', '.join(settings)}.") for key in sorted(unknown)
    ]


def _settings(variables: Variables) -> Variables:
    return {name.removeprefix(MAIN): variable for name, variable in variables.items() if name.startswith(MAIN)}


def _place(values: Values) -> Mapping[str, str]:
    return place_of({name.removeprefix(MAIN): value for name, value in values.items()})


def _provider_config(values: Values) -> dict[str, Any]:
    """The provider's settings, by the names that it has for them."""
    is_encrypted = values["config_sse_customer_enabled"]
    names = ("bucket", "prefix", "region_name", "endpoint_url", "access_key_id", "secret_access_key", "session_token")
    encryption = ("sse_customer_key", "sse_customer_algo") if is_encrypted else ()
    config = {name: values[MAIN + name] for name in (*names, "storage_class", *encryption)}
    return {name: value for name, value in config.items() if value}
