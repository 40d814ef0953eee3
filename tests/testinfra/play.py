# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the role's playbook as an administrator does, read what it printed, and look at the hosts right after it."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from ansible_collections.matrixops.synapse_s3.tests.testinfra.endpoints import read_endpoints

CONVERGE = Path(__file__).parents[2] / "molecule/shared/converge.yml"
TIMEOUT = 600
# Where the role puts things.
PLACES = (
    "/etc/matrix-synapse /srv/synapse /srv/compose /matrix /etc/systemd/system /opt /usr/local"
    " /var/lib/matrix-synapse-s3-storage-provider"
)
NOT_OURS = "-path /opt/venvs -o -name media_store -o -name media-store"
LIST = "-type f -exec sha256sum {} + -o -type l -printf '%l %p\\n'"
LIST_FILES = f"find {PLACES} \\( {NOT_OURS} \\) -prune -o {LIST} 2>/dev/null || true"

# Names only: when a timer elapses next changes by itself.
LIST_TIMERS = "systemctl list-units --all --type=timer --plain --no-legend | cut -d' ' -f1 | sort"


@dataclass(frozen=True)
class HostState:
    """A host right after a play."""

    files: dict[str, str]  # path -> sha256, or a link's target; where the role puts things
    timers: str
    health: int  # the HTTP status of Synapse's /health; 0 where nothing answers


@dataclass(frozen=True)
class PlayResult:
    """The output of one play on all hosts, and each host after it."""

    output: str
    states: dict[str, HostState]

    def changed(self, host: str) -> int:
        return self._recap(host, "changed")

    def failed(self, host: str) -> int:
        return self._recap(host, "failed") + self._recap(host, "unreachable")

    def message(self, host: str) -> str:
        """The message of the task that the host failed at."""
        name = rf"{re.escape(host)}(?: -> \w+)?"
        found = re.findall(rf"^fatal: \[{name}\]: FAILED! => (\{{.*\}})$", self.output, re.MULTILINE)
        assert found, f"{host} did not fail:\n{self.output}"
        return str(json.loads(found[-1])["msg"])

    def _recap(self, host: str, word: str) -> int:
        found = re.search(rf"^{re.escape(host)} +: .*\b{word}=(\d+)", self.output, re.MULTILINE)
        assert found, f"{host} is not in the play's recap:\n{self.output}"
        return int(found[1])


@dataclass
class RoleRunner:
    """Runs the role on all hosts at once, or on those of ``limit``.

    Each host's tests ask for the same run: its result is kept.
    """

    inventory: Path
    state_directory: Path
    limit: str = "all"
    results: dict[str, PlayResult] = field(default_factory=dict)

    def __call__(
        self, variables: dict[str, Any], *arguments: str, label: str = "", playbook: str = str(CONVERGE)
    ) -> PlayResult:
        """Variables are given without the long prefix. A label tells apart runs that are meant to happen again."""
        key = json.dumps([variables, arguments, label, playbook, self.limit])
        if key not in self.results:
            prefix = "matrix_synapse_ext_synapse_s3_storage_provider_"
            extra = json.dumps({f"{prefix}{name}": value for name, value in variables.items()})
            places = [f"--inventory={self.inventory}", f"--limit={self.limit}"]
            run = subprocess.run(
                ["ansible-playbook", *places, f"--extra-vars={extra}", *arguments, playbook],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=TIMEOUT,
                check=False,
            )
            self.results[key] = PlayResult(run.stdout, self.look())
        return self.results[key]

    def look(self) -> dict[str, HostState]:
        names = sorted(path.stem for path in self.state_directory.glob("*.json") if "." not in path.stem)
        return {name: self._look_at(name) for name in names}

    def _look_at(self, name: str) -> HostState:
        def output(command: str) -> str:
            container = f"{self.state_directory.name}-{name}"
            run = subprocess.run(["docker", "exec", container, "sh", "-c", command], capture_output=True, check=True)
            return run.stdout.decode()

        lines = [line.split(maxsplit=1) for line in output(LIST_FILES).splitlines()]
        files = {path: digest for digest, path in lines}
        url = read_endpoints(self.state_directory / f"{name}.json").homeserver_url
        try:
            health = requests.get(f"{url}/health", timeout=30).status_code
        except requests.ConnectionError:
            health = 0
        return HostState(files, output(LIST_TIMERS), health)
