"""Whether this machine's kernel lets anybody make network namespaces: no package could change that."""

import shutil
import subprocess

REFUSED = "the kernel of this machine refuses"
"""Such tests are not run, loudly, in CI too; everything else must run there."""


def makes_namespaces(*ways: str) -> bool:
    """In one of these ways; as root, or as a user of one's own namespace, unless said otherwise."""
    if shutil.which("unshare") is None:
        return True  # a missing command can be installed: let the test say so
    for way in ways or ("-n", "-Urn"):
        if subprocess.run(["unshare", way, "true"], capture_output=True, check=False).returncode == 0:
            return True
    return False
