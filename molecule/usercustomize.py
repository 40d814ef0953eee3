# SPDX-License-Identifier: GPL-3.0-or-later
"""On the test hosts: keep what Python compiles of zip files, as it does of all other modules.

Each module of Ansible's comes as a zip file with hundreds of kilobytes of source. To compile it anew takes a third of
the time of a simple task, which adds up over hundreds of plays. Python imports a module of this name at its start.
"""

from __future__ import annotations

import hashlib
import marshal
import os
import sys
import zipimport
from contextlib import suppress
from pathlib import Path
from types import CodeType

DIRECTORY = Path("/var/cache/zip-bytecode", str(sys.implementation.cache_tag))
compile_source = zipimport._compile_source


def compile_once(path: str, source: bytes) -> CodeType:
    # The zip file has another name each time, which tracebacks show.
    digest = hashlib.sha256(path.rpartition(".zip")[2].encode() + b"\0" + source).hexdigest()
    kept = DIRECTORY / digest
    try:
        code: CodeType = marshal.loads(kept.read_bytes())  # noqa: S302 (this file alone writes there)
    except (OSError, ValueError, EOFError, TypeError):
        code = compile_source(path, source)
        # Another user's directory, or a full disk: it is compiled again next time.
        with suppress(OSError):
            DIRECTORY.mkdir(parents=True, exist_ok=True)
            unfinished = DIRECTORY / f"{digest}.{os.getpid()}"
            unfinished.write_bytes(marshal.dumps(code))
            unfinished.replace(kept)
    return code


zipimport._compile_source = compile_once
