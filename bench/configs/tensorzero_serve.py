"""Start TensorZero's HTTP gateway, which its Python package carries, print its address, and wait. Argument: the config file."""

import signal
import sys

from tensorzero import _start_http_gateway

gateway = _start_http_gateway(config_file=sys.argv[1], clickhouse_url=None, postgres_url=None, valkey_url=None, async_setup=False)
print(gateway.base_url, flush=True)
signal.pause()
