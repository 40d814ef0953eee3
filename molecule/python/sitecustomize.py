# SPDX-License-Identifier: GPL-3.0-or-later
"""For the tests' Ansible: keep what Python compiles of zip files, as it does of all other modules.

Each module of Ansible's comes as a zip file with hundreds of kilobytes of source. To compile it anew takes a third of
the time of a simple task, which adds up over hundreds of plays. Python imports a module of this name at its start:
here, as scripts/run says where it is, and on the test hosts, where it stands as usercustomize.
"""

from __future__ import annotations

import zipimport
from types import CodeType

compile_source = zipimport._compile_source


def compile_once(path: str, source: bytes) -> CodeType:
    # Not at the start of each Python, most of which read no zip file
    import hashlib
    import marshal
    import os
    import sys
    from contextlib import suppress
    from pathlib import Path

    cache = Path(os.environ.get("SYNAPSE_S3_CACHE", "/var/cache"))
    directory = cache / "zip-bytecode" / str(sys.implementation.cache_tag)
    # The zip file has another name each time, which tracebacks show.
    digest = hashlib.sha256(path.rpartition(".zip")[2].encode() + b"\0" + source).hexdigest()
    kept = directory / digest
    try:
        code: CodeType = marshal.loads(kept.read_bytes())  # noqa: S302 (this file alone writes there)
    except (OSError, ValueError, EOFError, TypeError):
        code = compile_source(path, source)
        # Another user's directory, or a full disk: it is compiled again next time.
        with suppress(OSError):
            directory.mkdir(parents=True, exist_ok=True)
            unfinished = directory / f"{digest}.{os.getpid()}"
            unfinished.write_bytes(marshal.dumps(code))
            unfinished.replace(kept)
    return code


zipimport._compile_source = compile_once
