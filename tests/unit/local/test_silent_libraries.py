"""Libraries that would report to their makers are told not to before they are loaded."""

import os
import subprocess
import sys

from freehold.local.launching import engine_environment


def test_engines_are_started_with_telemetry_and_downloads_off() -> None:
    environ = engine_environment({"PATH": "/bin", "ORT_DISABLE_TELEMETRY": "0", "OPENAI_API_KEY": "secret"}, 1)
    assert environ["ORT_DISABLE_TELEMETRY"] == "1"
    assert environ["HF_HUB_OFFLINE"] == "1"
    assert "OPENAI_API_KEY" not in environ


def test_the_embedding_library_is_never_loaded_with_telemetry_on() -> None:
    """Whoever imports it, whatever the environment says: the switch is read when the library is loaded."""
    code = (
        "import sys, os, importlib.abc\n"
        "class Watch(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'onnxruntime': print(os.environ.get('ORT_DISABLE_TELEMETRY'))\n"
        "sys.meta_path.insert(0, Watch())\n"
        "import freehold.local.embeddings\n"
    )
    environ = {**os.environ, "ORT_DISABLE_TELEMETRY": "0"}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ, timeout=60, check=True)
    assert ran.stdout.split() == ["1"]
