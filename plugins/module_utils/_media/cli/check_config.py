# SPDX-License-Identifier: GPL-3.0-or-later
"""``check-config``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from ..engine.check_config import check_config as check
from ..engine.progress import waiting
from ..rules.errors import ALL_DONE, ConfigurationError, MediaError, UsageError
from ..rules.secrets import without_secrets
from ..stores import synapse_config, synapse_process
from .command import Command


def check_config(command: Command) -> int:
    """Say whether Synapse accepts the configuration, and whether it then has the provider and serves media."""
    options = command.options
    if not options.config:
        raise UsageError("Could not start: no configuration was named. Give Synapse's with --config.")
    found = check(options.config, options.provider_file, wants_provider=not options.without_provider)
    if not options.without_synapse and not found.problems:
        # Its environment decides too, such as where it finds its libraries.
        command.adopt(options.synapse_service, options.synapse_environment)
        with waiting(command.stderr, "Synapse, which reads its configuration"):
            said = synapse_process.refusal(options.config, options.import_path)
        if said:
            found.problems.append(
                "Could not use the configuration: Synapse refuses it. Correct what it says:\n"
                + _without_secrets(said, options.config)
            )
    problems = [*found.problems, *found.media_problems]
    exit_code = ConfigurationError.exit_status if problems else ALL_DONE
    provider = "and no provider was looked for" if options.without_provider else "and the provider is in it"
    text = "\n".join(problems or [f"Synapse's configuration is right: it serves media, {provider}."])
    command.print_result(text, {"command": "check-config", **asdict(found), "exit_code": exit_code})
    return exit_code


def _without_secrets(text: str, config_paths: Sequence[Path]) -> str:
    """What Synapse says may quote its configuration."""
    try:
        entries = synapse_config.read_config(config_paths).get("media_storage_providers")
    except MediaError:
        return text
    given_entries = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    return without_secrets(text, [entry["config"] for entry in given_entries if isinstance(entry.get("config"), dict)])
