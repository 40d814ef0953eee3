#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: bucket_check
short_description: Try an S3 bucket for use by Synapse's storage provider
version_added: 0.1.0
author:
  - The matrixops.synapse_s3 authors (@matrixops)
description:
  - Tries everything that Synapse's storage provider and the nightly migration ask of a bucket.
    It connects, compares the region, lists, writes an object, reads it back,
    checks its storage class and its encryption, stores and reads a second one exactly as the provider does, reads the
    beginning of one that is there already, and deletes its own again.
  - Reports every problem that can be told in one run, each with what to change.
  - An option that is empty is the same as one that is left out.
  - Nothing of the environment that the module runs in leads to another server. What would have done so, such as
    E(AWS_ENDPOINT_URL) where O(endpoint_url) is left out, is refused by name.
  - Its objects have names of their own below O(prefix), C(matrixops-synapse-s3-preflight-) and a random number.
  - In a bucket that keeps versions it deletes theirs too, where the access key has C(s3:DeleteObjectVersion) and the
    bucket does not lock them.
requirements:
  - boto3, on the host and for the Python that runs the module.
    The copy that the role C(storage_provider) installs will do, by way of E(PYTHONPATH).
notes:
  - The access key needs the permissions C(s3:ListBucket), C(s3:GetObject), C(s3:PutObject) and C(s3:DeleteObject).
attributes:
  check_mode:
    description: Does the same work in check mode, as it leaves nothing changed.
    support: full
  diff_mode:
    description: There is nothing to show a difference of.
    support: none
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
  - matrixops.synapse_s3.attributes
options:
  bucket:
    description: Name of the bucket.
    type: str
    required: true
  prefix:
    description: What every key begins with. Followed by the path as it is, so it mostly ends with a slash.
    type: str
    default: ''
  region_name:
    description: Region of the bucket. Left out, boto3 decides.
    type: str
  endpoint_url:
    description: Address of the S3 service, C(https://host[:port]). Left out, it is Amazon S3.
    type: str
  access_key_id:
    description:
      - Access key ID.
      - Left out with O(secret_access_key), boto3 looks for credentials of O(synapse_services), and of the host, such as
        an instance profile.
    type: str
  secret_access_key:
    description: Secret access key.
    type: str
  session_token:
    description: Session token of temporary credentials.
    type: str
  storage_class:
    description: Storage class in which objects are to be kept.
    type: str
    default: STANDARD
  sse_customer_key:
    description: Key for encryption with a key of the customer (SSE-C). Left out, objects are not encrypted that way.
    type: str
  sse_customer_algo:
    description: Algorithm for O(sse_customer_key).
    type: str
    default: AES256
  ca_bundle_path:
    description:
      - File on the host with the certificates of the authorities to trust, in PEM format.
      - Left out, it is what E(AWS_CA_BUNDLE) names, or else what boto3 brings.
    type: path
  synapse_services:
    description:
      - Synapse's units. What they have in their environment, such as credentials or a proxy, is used as by Synapse.
      - Left out, there is no such environment.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Try the bucket with the Python and the boto3 of Synapse's storage provider
  matrixops.synapse_s3.bucket_check:
    bucket: matrix-media
    region_name: eu-central-1
    access_key_id: "{{ access_key_id }}"
    secret_access_key: "{{ secret_access_key }}"
  vars:
    ansible_python_interpreter: /opt/venvs/matrix-synapse/bin/python
  environment:
    PYTHONPATH: /opt/matrix-synapse-s3-storage-provider/lib
"""

RETURN = r"""
problems:
  description: Every problem that was found. Empty when the bucket can be used.
  type: list
  elements: dict
  returned: always
  contains:
    check:
      description: What was tried.
      type: str
      sample: write
    message:
      description: What is wrong, and what to change. Holds no secret.
      type: str
      sample: >-
        Could not list bucket 'matrix-media': there is no such bucket at Amazon S3.
        Create it, or correct bucket or endpoint_url.
    exit_status:
      description: The status with which C(matrix-synapse-s3-storage-provider preflight) would end.
      type: int
      sample: 69
notes:
  description:
    - What is no problem and yet worth knowing, for example that the server does no conditional writes.
      Each is a warning too.
  type: list
  elements: str
  returned: always
  sample: []
"""

from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket_arguments import CONNECTION
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.preflight import check_bucket
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import MediaError, join_problems
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.environment import adopt
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.libraries import missing_library

ARGUMENTS = {
    **CONNECTION,
    "storage_class": {"type": "str", "default": "STANDARD"},
    "sse_customer_key": {"type": "str", "no_log": True},
    "sse_customer_algo": {"type": "str", "default": "AES256"},
    "synapse_services": {"type": "list", "elements": "str", "default": []},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    if library := missing_library():
        module.fail_json(
            msg=f"Could not check the bucket: the Python library {library!r} is missing. "
            "Run the module with a Python that has boto3, or give it one with PYTHONPATH."
        )
    services = module.params.pop("synapse_services")
    settings = BucketSettings(**{name: value for name, value in module.params.items() if value or name == "bucket"})
    try:
        adopt(services).check([settings], None)
    except MediaError as error:
        problem = {"check": "environment", "message": str(error), "exit_status": error.exit_status}
        module.fail_json(msg=str(error), problems=[problem], notes=[])
    notes: list[str] = []
    found = check_bucket(settings, note=notes.append)
    for note in notes:
        module.warn(note)
    problems = [asdict(problem) for problem in found]
    if problems:
        module.fail_json(msg=join_problems([problem.message for problem in found]), problems=problems, notes=notes)
    module.exit_json(changed=False, problems=problems, notes=notes)


if __name__ == "__main__":
    main()
