# SPDX-License-Identifier: GPL-3.0-or-later
"""The program behind ``matrix-synapse-s3-storage-provider``.

The same files run inside Ansible modules and filters and, packed into a zipapp, on the target.
Imports go one way: ``rules`` <- ``stores`` <- ``engine`` <- ``cli``. Nothing here imports Ansible.
"""
