#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: bucket
short_description: Make an S3 bucket for Synapse's media, and make it safe
version_added: 0.1.0
author:
  - The matrixops.synapse_s3 authors (@matrixops)
description:
  - Creates a bucket where there is none, and makes it as the options say. What is not asked for is left as it is, but
    for rules and statements of the module's own, which go again.
  - Every feature is looked at, changed where it differs, read back, and tried where that can be seen from outside. What
    a service does not implement, or takes without effect, is told for each feature. It is a failure only where the
    feature is in O(required). All features are gone through before the module fails.
  - To try them it stores a small object below O(prefix) and deletes it again, but not in check mode.
  - Nothing of the environment that the module runs in leads to another server.
requirements:
  - boto3, for the Python that runs the module. It may run anywhere from where the service can be reached, such as on
    the machine that runs Ansible, with C(delegate_to) or C(connection) V(local).
  - minio (PyPI), to give Synapse a key of its own on MinIO.
attributes:
  check_mode:
    description: Looks at everything, and tells what would change.
    support: full
  diff_mode:
    description: Shows what the server has of each feature, before and after.
    support: full
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
  - matrixops.synapse_s3.attributes
options:
  bucket:
    description: Name of the bucket.
    type: str
    required: true
  prefix:
    description: What the key of each of Synapse's objects begins with. Rules are for these alone.
    type: str
    default: ''
  region_name:
    description: Region of the bucket.
    type: str
  endpoint_url:
    description: Address of the S3 service, C(https://host[:port]). Left out, it is Amazon S3.
    type: str
  access_key_id:
    description: ID of an access key that may administer the bucket. Left out, boto3 looks for credentials of the host.
    type: str
  secret_access_key:
    description: Its secret.
    type: str
  session_token:
    description: Session token of temporary credentials.
    type: str
  ca_bundle_path:
    description: File with the certificates of the authorities to trust, in PEM format.
    type: path
  private:
    description:
      - Whether the bucket is closed for everybody without a key. By the block of public access; where a service has
        none, the statements of the bucket's policy that let anybody in are taken out. A statement for anybody on a
        condition that holds for some alone, such as for an address, stays and is named.
      - V(false) leaves that as it is.
    type: bool
    default: true
  unfinished_uploads_days:
    description: After how many days an upload in parts is ended that was not completed. V(0) for never.
    type: int
    default: 7
  versioning:
    description: Whether the bucket keeps old versions of objects. V(false) leaves that as it is.
    type: bool
    default: false
  old_versions_days:
    description: With O(versioning=true), after how many days old versions go. V(0) for never.
    type: int
    default: 30
  encryption:
    description: Encryption of new objects by the service. Empty, it is left as it is.
    type: str
    choices: ['', AES256, 'aws:kms']
    default: ''
  kms_key_id:
    description: The key for C(aws:kms). Left out, the one that the bucket has stays, else the service takes its own.
    type: str
    default: ''
  tls_only:
    description: Whether the bucket refuses what does not come by TLS.
    type: bool
    default: false
  plain_url:
    description:
      - Where the same service answers without TLS, if it does, to see that it refuses. Left out, it is tried at the
        port of O(endpoint_url), or at 80 in place of 443.
    type: str
    default: ''
  synapse_endpoint_url:
    description:
      - Where Synapse reaches the service, if that is not O(endpoint_url). With O(tls_only) it has to be by TLS.
    type: str
    default: ''
  synapse_access_key_id:
    description:
      - ID of the access key that Synapse is to use, where that is another than O(access_key_id).
        With O(key), it is made and may do what the filter P(matrixops.synapse_s3.bucket_policy#filter) allows.
    type: str
    default: ''
  synapse_secret_access_key:
    description: Its secret.
    type: str
    default: ''
  key:
    description:
      - Whether Synapse gets a key of its own, where the service has an interface for it. Those of MinIO, versitygw,
        SeaweedFS and Ceph are known. With Amazon S3 the user and its key have to be there, and get the policy.
      - With Synapse's key it is tried that this may do what it must, and what else of the bucket it may do. For that
        a small object is stored beside O(prefix) with O(access_key_id), and deleted again, but not in check mode.
    type: bool
    default: false
  required:
    description:
      - What the module fails without. Each has to be asked for, but for V(private), which is in the default.
    type: list
    elements: str
    choices: [private, unfinished_uploads, versioning, old_versions, encryption, tls_only, key]
    default: [private]
"""

EXAMPLES = r"""
- name: Make a bucket on the machine that runs Ansible
  matrixops.synapse_s3.bucket:
    bucket: matrix-media
    endpoint_url: https://minio.example.org
    access_key_id: "{{ administrator_access_key_id }}"
    secret_access_key: "{{ administrator_secret_access_key }}"
    versioning: true
    tls_only: true
    required: [private, versioning]
  delegate_to: localhost
"""

RETURN = r"""
features:
  description: >-
    What came of each feature, by name. C(media_stays) is there only where a lifecycle rule of somebody else's would
    take media away, which is a failure.
  type: dict
  returned: always
  contains:
    state:
      description: >-
        C(ok), C(changed), C(not_wanted), C(unsupported) by the service, C(ignored) by it, or C(failed).
      type: str
      sample: ok
    message:
      description: More of it, in words.
      type: str
      sample: nobody but users may use it
problems:
  description: What failed, and what is required and lacking.
  type: list
  elements: str
  returned: always
  sample: []
notes:
  description: What is lacking, and not required. Each is a warning too.
  type: list
  elements: str
  returned: always
  sample: []
"""

import json
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket import features, keys
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.administration import Administration
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.report import Feature, State, notes, problems
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.wanted import Wanted
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket_arguments import CONNECTION
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.endpoint import http_url_problems
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import MediaError, join_problems
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import read_bucket_settings
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.environment import adopt
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.libraries import missing_library

DAYS = ("unfinished_uploads_days", "old_versions_days")
FEATURES = ("private", "unfinished_uploads", "versioning", "old_versions", "encryption", "tls_only", "key")
ARGUMENTS: dict[str, dict[str, Any]] = {
    **CONNECTION,
    "private": {"type": "bool", "default": True},
    "unfinished_uploads_days": {"type": "int", "default": 7},
    "versioning": {"type": "bool", "default": False},
    "old_versions_days": {"type": "int", "default": 30},
    "encryption": {"type": "str", "choices": ["", "AES256", "aws:kms"], "default": ""},
    "kms_key_id": {"type": "str", "default": "", "no_log": False},
    "tls_only": {"type": "bool", "default": False},
    "plain_url": {"type": "str", "default": ""},
    "synapse_endpoint_url": {"type": "str", "default": ""},
    "synapse_access_key_id": {"type": "str", "default": "", "no_log": False},
    "synapse_secret_access_key": {"type": "str", "default": "", "no_log": True},
    "key": {"type": "bool", "default": False, "no_log": False},
    "required": {"type": "list", "elements": "str", "choices": list(FEATURES), "default": ["private"]},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    if library := missing_library():
        module.fail_json(
            msg=f"Could not look at the bucket: the Python library {library!r} is missing in {sys.executable}. Install"
            " it there (pip install boto3; with Ansible from pipx: pipx inject ansible-core boto3), or give it one with"
            " PYTHONPATH."
        )
    params = module.params
    found: list[Feature] = []
    given = {name: params[name] for name in CONNECTION if params[name] or name == "bucket"}
    settings, wrong = read_bucket_settings(given)
    wrong += [f"{name}: is less than 0. Write a number of days." for name in DAYS if params[name] < 0]
    wrong += option_problems(params)
    if wrong:
        module.fail_json(msg=join_problems(wrong), features={}, problems=wrong, notes=[])
    settings = replace(settings, ca_bundle_path=params["ca_bundle_path"] or None)
    user = features.user_settings(settings, params["synapse_access_key_id"], params["synapse_secret_access_key"])
    wanted = Wanted(
        private=params["private"],
        unfinished_uploads_days=params["unfinished_uploads_days"],
        versioning=params["versioning"],
        old_versions_days=params["old_versions_days"],
        encryption=params["encryption"],
        kms_key_id=params["kms_key_id"],
        tls_only=params["tls_only"],
        plain_url=params["plain_url"],
        synapse_endpoint_url=params["synapse_endpoint_url"],
        user=user,
    )
    try:
        adopt(()).check([settings], None)
        with closing(Administration(settings)) as bucket:
            key = partial(keys.apply, bucket, wanted, is_wanted=params["key"], check_mode=module.check_mode)
            found += features.apply(bucket, wanted, key, check_mode=module.check_mode)
    except MediaError as error:
        found.append(Feature("bucket", State.FAILED, str(error)))
    finish(module, found)


def option_problems(params: Mapping[str, Any]) -> list[str]:
    """What is wrong with options that do not tell where the bucket is."""
    asked_for = {
        # By default it is required, also of who leaves it as it is.
        "private": True,
        "unfinished_uploads": params["unfinished_uploads_days"] > 0,
        "versioning": params["versioning"],
        "old_versions": params["versioning"] and params["old_versions_days"] > 0,
        "encryption": bool(params["encryption"]),
        "tls_only": params["tls_only"],
        "key": params["key"],
    }
    found = [
        f"required: has {name!r}, which is not asked for. Ask for it, or take it out."
        for name in params["required"]
        if not asked_for[name]
    ]
    if params["kms_key_id"] and params["encryption"] != "aws:kms":
        found.append("kms_key_id: is for the encryption aws:kms. Set encryption to that, or leave kms_key_id empty.")
    url = params["plain_url"]
    texts = http_url_problems(url) if url else []
    if url and not texts and not url.lower().startswith("http://"):
        texts = [f"{url!r} is with TLS. Write where the service answers without, 'http://host[:port]'."]
    return [*found, *(f"plain_url: {text}" for text in texts)]


def finish(module: AnsibleModule, found: list[Feature]) -> None:
    """End the module with what it found."""
    required = module.params["required"]
    wrong, lacking = problems(found, required), notes(found, required)
    result = {
        "changed": any(feature.is_changed for feature in found),
        "features": {feature.name: {"state": feature.state.value, "message": feature.message} for feature in found},
        "problems": wrong,
        "notes": lacking,
        "diff": {side: shown(found, side) for side in ("before", "after")},
    }
    for note in lacking:
        module.warn(note)
    if wrong:
        module.fail_json(msg=join_problems(wrong), **result)
    module.exit_json(**result)


def shown(found: list[Feature], side: str) -> str:
    """What the server has of the features that change, as a text to be compared."""
    content = {feature.name: getattr(feature, side) for feature in found if feature.is_changed}
    return json.dumps(content, indent=2, sort_keys=True, default=str) + "\n" if content else ""


if __name__ == "__main__":
    main()
