# SPDX-License-Identifier: GPL-3.0-or-later
"""python -m ansible_collections.matrixops.synapse_s3.tests.benchmark"""

import sys

from ansible_collections.matrixops.synapse_s3.tests.benchmark.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
