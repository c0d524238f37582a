"""`freehold launch`: one client, pointed at the running gateway or at one that lives as long as the client does.

Promised: the client gets the terminal, its arguments and its input as they are, and its exit code is ours; no file of the
user's is touched; the folder it reads is gone afterwards, whatever ended it. Deliberately not done: installing clients.
"""

import asyncio
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from freehold.cli import show
from freehold.cli.asking import ENGINE_START_S, gateway
from freehold.cli.client import GatewayClient
from freehold.cli.recipes import ANY, Aim, Recipe, Setup, make_setup, read_recipes
from freehold.cli.setup import load_config
from freehold.config import Config
from freehold.fault import FaultError
from freehold.server.clock import wall_ms
from freehold.storage.store import StoreError
from freehold.telemetry.log import Log

NO_KEY = "freehold"
"""What is sent where no key is asked for: clients want one."""
HIDDEN_KEY = "THE-KEY-OF-server.api_key"
INTERRUPTED = 130
FOLDER = "FOLDER"
"""Stands for the folder where nothing is launched."""
_PASSED_ON = (signal.SIGTERM, signal.SIGHUP)
_FROM_THE_TERMINAL = (signal.SIGINT, signal.SIGQUIT)


class Printed(msgspec.Struct, frozen=True, kw_only=True):
    """What would be launched."""

    command: tuple[str, ...]
    env: dict[str, str]
    unset: tuple[str, ...]
    files: dict[str, str]


def launch(path: Path | None, words: Sequence[str], *, model: str, is_any: bool, only_print: bool, as_json: bool) -> None:
    """Run the client; ends with its exit code. `is_any`: the words are a command, not a client's name."""
    recipe = _recipe(words, is_any=is_any)
    command = words if is_any else (recipe.command, *words[1:])
    config = load_config(path)
    if only_print:
        _print(asyncio.run(_printed(config, recipe, command, model)), as_json=as_json)
        return
    program = shutil.which(command[0])
    if program is None:
        where = f"; `{recipe.installed_by}` installs it" if recipe.package else ""
        show.fail(f"there is no {command[0]} on the PATH{where}", 127)
    try:
        code = asyncio.run(_launch(config, recipe, (program, *command[1:]), model))
    except asyncio.CancelledError:
        code = INTERRUPTED
    except FaultError as error:
        show.fail(error.fault.message)
    except TimeoutError:
        show.fail(f"the engines were not ready within {ENGINE_START_S:.0f} s; `freehold runtimes` says why")
    except (StoreError, RuntimeError, OSError) as error:
        show.fail(show.reason(error))
    for number in (*_PASSED_ON, *_FROM_THE_TERMINAL):
        signal.signal(number, signal.SIG_IGN)  # the client has ended: a ctrl-C too many must not replace its exit code
    sys.exit(code)


def _recipe(words: Sequence[str], *, is_any: bool) -> Recipe:
    recipes = read_recipes()
    names = [recipe.name for recipe in recipes.clients if recipe.name != ANY]
    if not words:
        show.fail(f"launch what? {', '.join(names)}, or `-- any command`", 2)
    recipe = recipes.of(ANY if is_any else words[0])
    if recipe is None or (recipe.name == ANY and not is_any):
        show.fail(f"{words[0]!r} is none of {', '.join(names)}; `freehold launch -- {words[0]}` launches any command", 2)
    return recipe


async def _printed(config: Config, recipe: Recipe, command: Sequence[str], model: str) -> Printed:
    server = config.settings.server
    client = GatewayClient(server.host, server.port, config.server_key)
    try:
        window = await client.window_of(model)
    finally:
        await client.close()
    key = NO_KEY if config.server_key is None else HIDDEN_KEY
    setup = make_setup(recipe, Aim(root=client.url, key=key, model=model, window=window, folder=FOLDER))
    return Printed(command=_command(command, setup), env=setup.env, unset=setup.unset, files=setup.files)


def _print(printed: Printed, *, as_json: bool) -> None:
    """As JSON, or as lines for a shell."""
    if as_json:
        show.print_json(printed)
        return
    for name, text in printed.files.items():
        print(f"# {FOLDER}/{name}, in a folder of your choice:")
        print("".join(f"#   {line}\n" for line in text.rstrip("\n").split("\n")), end="")
    if printed.unset:
        print(f"unset {' '.join(printed.unset)}")
    for name, value in printed.env.items():
        print(f"export {name}={shlex.quote(value)}")
    print(shlex.join(printed.command))


async def _launch(config: Config, recipe: Recipe, command: Sequence[str], model: str) -> int:
    key = NO_KEY if config.server_key is None else config.server_key.reveal()
    task = asyncio.current_task()
    assert task is not None
    _on((*_PASSED_ON, *_FROM_THE_TERMINAL), lambda _: task.cancel())  # before there is a client, the folder goes all the same
    with TemporaryDirectory(prefix="freehold-") as folder, _own_log(config) as log:
        async with gateway(config, log) as client:
            aim = Aim(root=client.url, key=key, model=model, window=await client.window_of(model), folder=folder)
            setup = make_setup(recipe, aim)
            _write(setup.files, Path(folder))
            return await _run(_command(command, setup), environment(os.environ, setup))


def _write(files: Mapping[str, str], folder: Path) -> None:
    """Nobody but this user gets into the folder."""
    for name, text in files.items():
        (folder / name).write_text(text)


def _command(command: Sequence[str], setup: Setup) -> tuple[str, ...]:
    return (command[0], *setup.args, *command[1:])


def environment(ours: Mapping[str, str], setup: Setup) -> dict[str, str]:
    """The client's environment: ours with the setup's, and loopback past any proxy."""
    made = {name: value for name, value in ours.items() if name not in setup.unset} | setup.env
    if any(made.get(name) for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        direct = ",".join(filter(None, (made.get("NO_PROXY") or made.get("no_proxy"), "127.0.0.1,localhost,::1")))
        made |= {"NO_PROXY": direct, "no_proxy": direct}
    return made


async def _run(command: Sequence[str], env: Mapping[str, str]) -> int:
    """Its exit code, as a shell counts it. What ends us ends it first."""
    early: list[signal.Signals] = []
    process: asyncio.subprocess.Process | None = None
    is_terminal = sys.stdin.isatty()

    def pass_on(number: signal.Signals) -> None:
        # A terminal sends its own to the client, too; what it makes of them is its own business.
        if process is None:
            early.append(number)
        elif not (is_terminal and number in _FROM_THE_TERMINAL):
            with suppress(ProcessLookupError):
                process.send_signal(number)

    # One handler from before the start on: a second one would miss what the first was called for and has not yet done.
    _on((*_PASSED_ON, *_FROM_THE_TERMINAL), pass_on)
    process = await asyncio.create_subprocess_exec(*command, env=env)
    for number in early:
        pass_on(number)
    code = await process.wait()
    return 128 - code if code < 0 else code


def _on(numbers: Sequence[signal.Signals], act: Callable[[signal.Signals], object]) -> None:
    loop = asyncio.get_running_loop()
    for number in numbers:
        loop.add_signal_handler(number, act, number)


@contextmanager
def _own_log(config: Config) -> Iterator[Log]:
    """Where a gateway of our own writes: the terminal is the client's."""
    config.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (config.data_dir / "launch.log").open("a") as file:

        def write(line: str) -> None:
            file.write(line)
            file.flush()

        yield Log(write, now_ms=wall_ms, level="warning")
