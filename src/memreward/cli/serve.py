"""`memreward serve`: the reward over HTTP, for trainers whose workers see one rollout at a time."""

import json
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from memreward.cli.common import AsJson, HostAndPort, MemoryUri, predictor_folder
from memreward.cli.errors import ends_well
from memreward.cli.options import options_from
from memreward.cli.output import Output
from memreward.cli.shards import Engine
from memreward.service.config import ServiceConfig
from memreward.types import ConfigurationError

_PORT = 8765


@ends_well("What was answered is kept: run the same command again to go on.")
@options_from("settings", ServiceConfig, panel="Budget and deadlines")
def serve(
    *,
    memory: MemoryUri,
    host: HostAndPort = f"127.0.0.1:{_PORT}",
    engine: Annotated[
        Engine, typer.Option(help="'ray' serves by replicas of Ray Serve, with one actor that writes memory.")
    ] = "process",
    settings: ServiceConfig,
    as_json: AsJson = False,
) -> None:
    """Serve rewards over HTTP until it is stopped; goes on where it was, also after a kill.

    Where memory has no predictor, the shipped prior and majority vote decide. The token is read from the variable
    MEMREWARD_TOKEN. The address is printed once requests are answered; the log goes to stderr, one JSON object a line.

    Examples:
      memreward serve --memory runs/memory
      memreward serve --memory runs/memory --host 127.0.0.1:0 --labels 200 --group-deadline 600
      memreward serve --memory /shared/memory --engine ray
    """
    from memreward.service.token import host_and_port, refuse_public, token_from

    output, token = Output(as_json), token_from()
    name, port = host_and_port(host, _PORT)
    refuse_public(name, token)

    def started(url: str) -> None:
        typer.echo(json.dumps({"url": url}) if as_json else f"listening on {url}")

    # uvicorn raises the signal again once it has stopped; its default would end the process before the store is closed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if engine == "ray":
        from memreward.service.ray_serve import serving

        if not port:
            raise ConfigurationError("--engine ray needs a port other than 0 in --host: its replicas share it")
        with serving(memory, settings, host=name, port=port, token=token) as url:
            started(url)
            while True:
                signal.pause()
    from memreward.service.app import create_app
    from memreward.service.log import log_to_stderr
    from memreward.service.run import server_of
    from memreward.service.store_process import StoreProcess

    if not predictor_folder(memory).exists():
        output.note(f"{memory} has no predictor: the shipped prior and majority vote decide")
    log_to_stderr()
    store = StoreProcess(Path(memory), settings)
    try:
        server_of(create_app(store, settings, token=token), name, port, started).run()
    finally:
        store.close()
