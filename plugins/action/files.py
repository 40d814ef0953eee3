# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action ``files``: render the templates, and let the module of that name put them in place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible-core has no types
    """See the module ``files`` for its documentation."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        if "present" in arguments:
            arguments["present"] = [self._rendered(item, task_vars or {}) for item in arguments["present"]]
        module = self._execute_module(
            module_name="matrixops.synapse_s3.files", module_args=arguments, task_vars=task_vars
        )
        return {**result, **module}

    def _rendered(self, item: object, task_vars: dict[str, Any]) -> object:
        """The item with the text that its template gives as ``content``."""
        if not isinstance(item, Mapping) or "template" not in item:
            return item
        if "content" in item:
            raise AnsibleActionFail(f"Could not write {item.get('path')!r}: give content or template, not both.")
        lookup = self._shared_loader_obj.lookup_loader.get(
            "ansible.builtin.template", loader=self._loader, templar=self._templar
        )
        (content,) = lookup.run([item["template"]], variables=task_vars)
        return {**{name: value for name, value in item.items() if name != "template"}, "content": content}
