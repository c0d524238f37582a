#!/bin/sh
# Writes the hash-pinned locks from pyproject.toml. They name no index address: the machine's own settings decide.
set -eu
uv="$1"
lock() { "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml "$@"; }
lock --group build -o requirements/run.txt
lock --group build --group test --group lint -c requirements/run.txt -o requirements/dev.txt
"$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-deps --group engines -o requirements/engines.txt
"$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-deps --group fuzz -o requirements/fuzz.txt
for group in clients aider; do
  "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --group $group -o requirements/$group.txt
done
