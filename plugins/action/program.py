# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action ``program``: pack the program, the same bytes for the same source, and let ``copy`` install it."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

SOURCE = Path(__file__).parent.parent / "module_utils" / "_media"
# Python runs this file of the archive.
MAIN = """\
# SPDX-License-Identifier: GPL-3.0-or-later
from _media.cli import run_process

run_process()
"""
# The oldest time that the format knows: an archive must not change because a checkout gave its source another time.
EPOCH = (1980, 1, 1, 0, 0, 0)
OPTIONS = {"dest", "owner", "group", "mode"}


def program_files(source: Path) -> dict[str, bytes]:
    """The archive's content by name."""
    files = {path.relative_to(source.parent).as_posix(): path.read_bytes() for path in source.rglob("*.py")}
    return {**files, "__main__.py": MAIN.encode()}


def write_archive(target: Path, files: Mapping[str, bytes]) -> None:
    """Write the archive so that it depends on nothing but ``files``.

    Stored, not compressed: another zlib would give other bytes.
    """
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.create_system = 3  # Unix, wherever this runs
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, files[name])


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible-core has no types
    """See the module ``program`` for its documentation."""

    TRANSFERS_FILES = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        options = self._task.args
        unknown = sorted(set(options) - OPTIONS)
        if unknown or "dest" not in options:
            wrong = f"unknown options {', '.join(unknown)}" if unknown else "dest is missing"
            raise AnsibleActionFail(f"Could not install the program: {wrong}. Give {', '.join(sorted(OPTIONS))}.")
        if self._task.check_mode and not self._directory_exists(str(Path(options["dest"]).parent), task_vars):
            return {**result, "changed": True, "was_there": False}
        with tempfile.TemporaryDirectory(dir=constants.DEFAULT_LOCAL_TMP) as directory:
            archive = Path(directory) / "program.pyz"
            write_archive(archive, program_files(SOURCE))
            copied = self._copy(archive, task_vars)
            return {**result, **copied, "was_there": not copied.get("changed", False)}

    def _copy(self, archive: Path, task_vars: dict[str, Any] | None) -> dict[str, Any]:
        task = self._task.copy()
        task.args = {**self._task.args, "src": str(archive)}
        task.diff = False
        copy = self._shared_loader_obj.action_loader.get(
            "ansible.builtin.copy",
            task=task,
            connection=self._connection,
            play_context=self._play_context,
            loader=self._loader,
            templar=self._templar,
            shared_loader_obj=self._shared_loader_obj,
        )
        result: dict[str, Any] = copy.run(task_vars=task_vars)
        return result

    def _directory_exists(self, path: str, task_vars: dict[str, Any] | None) -> bool:
        """Check mode only: ``copy`` fails where the directory is yet to be made."""
        status = self._execute_remote_stat(path, all_vars=task_vars, follow=True, checksum=False)
        return bool(status["exists"] and status["isdir"])
