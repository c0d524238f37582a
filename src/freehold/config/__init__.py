"""Configuration: `freehold.toml`, the environment and the built-in defaults become checked, immutable values.

settings.py    the shape of the file
decoding.py    TOML values into that shape, every problem collected
checking.py    checks across fields
secrets.py     references to secrets
facts.py       quirks, model facts and the built-in policy that come with Freehold
assembly.py    the file joined with the built-in policy
load.py        where the file stands and what comes out
"""

from freehold.config.facts import default_config_source
from freehold.config.load import Config, ConfigError, describe_problems, find_source, load, read_config
from freehold.config.settings import LogSettings, ServerSettings, Settings, StorageSettings

__all__ = [
    "Config",
    "ConfigError",
    "LogSettings",
    "ServerSettings",
    "Settings",
    "StorageSettings",
    "default_config_source",
    "describe_problems",
    "find_source",
    "load",
    "read_config",
]
