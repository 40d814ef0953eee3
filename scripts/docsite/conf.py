# SPDX-License-Identifier: GPL-3.0-or-later
"""Sphinx's settings for the site. scripts/docs builds it; the sources are the Markdown pages of docs/."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

HERE = Path(__file__).parent
CACHE = Path(os.environ["SYNAPSE_S3_CACHE"]) / "docs"

project = "matrixops.synapse_s3"
project_copyright = "the matrixops.synapse_s3 authors, GPL-3.0-or-later"
html_title = project
html_theme = "furo"
html_static_path = [str(HERE / "static")]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False

extensions = ["myst_parser", "sphinx_antsibull_ext", "sphinx_copybutton", "sphinx.ext.intersphinx"]
# As GitHub makes them: the same links work in both places.
myst_heading_anchors = 4
# What another Sphinx site has: Ansible's own pages, by the labels that antsibull-docs refers to. Their inventory can't
# be fetched where there is no network, and these few are all that is needed.
ANSIBLE_DOCS = "https://docs.ansible.com/projects/ansible/latest"
ANSIBLE_LABELS = {
    "common_return_values": "reference_appendices/common_return_values.html",
    "action_plugins": "plugins/action.html",
    "ansible_configuration_settings": "reference_appendices/config.html",
    **{
        f"ansible_collections.ansible.builtin.{module}_module": f"collections/ansible/builtin/{module}_module.html"
        for module in ("command", "copy", "file", "tempfile", "template")
    },
}


def write_inventory(path: Path) -> None:
    """An inventory of Sphinx's with these labels (format: sphinx.util.inventory)."""
    lines = [f"{label} std:label -1 {uri} {label.rsplit('.', 1)[-1]}\n" for label, uri in ANSIBLE_LABELS.items()]
    head = (
        "# Sphinx inventory version 2\n# Project: Ansible\n# Version: \n"
        "# The remainder of this file is compressed using zlib.\n"
    )
    path.write_bytes(head.encode() + zlib.compress("".join(lines).encode()))


INVENTORY = CACHE / "ansible.inv"
write_inventory(INVENTORY)
intersphinx_mapping = {"ansible": (ANSIBLE_DOCS, str(INVENTORY))}
