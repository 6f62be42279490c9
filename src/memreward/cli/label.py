"""`memreward label`: people, or a judge model, say which answers are right, and see what that bought."""

from __future__ import annotations

import contextlib
import getpass
import os
import secrets
import shlex
import webbrowser
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import typer

from memreward.cli.common import AsJson, HostAndPort, MemoryUri, check_extra, check_file, learns, predictor_folder
from memreward.cli.errors import ends_well
from memreward.cli.options import options_from
from memreward.cli.output import Output
from memreward.label.queue import Ask
from memreward.policy.settings import SamplingConfig
from memreward.reward.settings import LearningConfig
from memreward.types import ConfigurationError

if TYPE_CHECKING:
    from memreward.label.session import Labelling

_DAY = 86_400.0
_ASKED = 20
"""Questions that a judge is asked where --batch names no number."""


@dataclass(frozen=True)
class Asking:
    """Who is asked, and by what: the page, a file, or a judge model.

    Attributes:
        annotator: Who labels; the ledger keeps the name. Without it, the user's.
        batch: Questions to write to --out, or to ask --judge; no page.
        out: File for --batch: .jsonl, of Label Studio .json, of Argilla .argilla.jsonl.
        import_: Enter the labels that came back in this file.
        judge: Ask a model at this OpenAI-compatible address instead of people.
        ask: One answer of a question, the whole question, or (auto) what tells more in a minute.
        pairwise: Ask the judge which of two answers is right, not which of all.
    """

    annotator: str = ""
    batch: int | None = None
    out: Path | None = None
    import_: Path | None = None
    judge: str | None = None
    ask: Ask = "auto"
    pairwise: bool = False

    def __post_init__(self) -> None:
        if self.batch is not None and self.batch < 1:
            raise typer.BadParameter(f"--batch {self.batch} asks nothing: give 1 or more")
        if (self.batch is None or self.judge is not None) != (self.out is None):
            raise ConfigurationError("--batch COUNT and --out FILE belong together, or --batch COUNT and --judge URL")


@ends_well("What was decided is in the ledger: run the same command again to go on.")
@learns("labels")
@options_from("how", Asking, panel="Options", names={"import_": "import"})
@options_from("sampling", SamplingConfig, panel="The judge", only=("model",), base=SamplingConfig(""))
def label(
    *,
    memory: MemoryUri,
    host: HostAndPort = "127.0.0.1:0",
    as_json: AsJson = False,
    how: Asking,
    learning: LearningConfig,
    sampling: SamplingConfig,
) -> None:
    """Ask people which answers are right, the most telling question first, on a page of this machine.

    The page's address holds a token; MEMREWARD_TOKEN sets one. Several people can label at once, each under a name
    (?annotator=NAME in the address). It stops once --labels questions have one, whoever gave it. With --batch and
    --import questions go out and come back in a file instead; with --judge a language model answers: its verdicts stand
    in the ledger under its name, and people overrule them.

    Examples:
      memreward label --memory runs/memory --labels 20
      memreward label --memory runs/memory --batch 20 --out to_label.jsonl
      memreward label --memory runs/memory --import labelled.jsonl --annotator ann
      memreward label --memory runs/memory --judge http://localhost:8000/v1 --model NAME --batch 50 --pairwise
    """
    from memreward.label import files

    output, who, out = Output(as_json), how.annotator or _user(), how.out
    if how.judge and not sampling.model:
        raise ConfigurationError("--judge needs --model: the model's name at that address")
    check_file(out)
    page = how.batch is None and how.import_ is None and how.judge is None
    if page:
        check_page()
    labelling = _opened(memory, how.ask, learning.labels, page=page)
    report: dict[str, Any] = {}
    if how.batch is not None and out is not None:
        labelling.lease = _DAY
        records = files.batch(labelling, how.batch, who)
        files.write(out, files.as_named(out, records), listed=files.is_label_studio(out))
        report = {"written": len(records), "file": out}
    elif how.import_ is not None:
        report = {**files.take_in(labelling, files.came_back(files.read(how.import_)), who)}
    elif how.judge is not None:
        from memreward.label.judge import judge
        from memreward.policy.settings import EndpointConfig

        server, count = EndpointConfig(url=how.judge), how.batch or _ASKED
        report = asdict(judge(labelling, sampling.model, server, count, pairwise=how.pairwise))
    else:
        address, serve = serving(labelling, host, who, browser=True)
        output.note(f"Label at {address}\nStop with Ctrl-C; everything that the page called kept is in the ledger.")
        serve()
    _report(output, labelling, report)
    labelling.close()
    if out is not None:
        if files.is_label_studio(out):
            output.note(f"The labelling interface of the project in Label Studio:\n{files.LABEL_STUDIO_CONFIG}")
        output.next(f"label --memory {shlex.quote(memory)} --import LABELLED")
    elif labelling.progress().questions:
        output.next(f"warmup --memory {shlex.quote(memory)}")


def check_page() -> None:
    for package in ("fastapi", "uvicorn"):
        check_extra(package, "label", "the page")


def _opened(memory: str, ask: Ask, labels: str, *, page: bool) -> Labelling:
    """Open the labelling, with what a predictor of this memory reads where there is one."""
    from memreward.answers.prior import DEFAULT
    from memreward.label.start import AT_ONCE, begin
    from memreward.memory import Budget, ExperienceMemory
    from memreward.reward.predictor import FILE, RewardPredictor

    store = ExperienceMemory.open(memory, create=False)
    folder = predictor_folder(memory)
    made = RewardPredictor.load(folder, store) if (folder / FILE).exists() else None
    return begin(
        store,
        prior=DEFAULT if made is None else made.model.prior,
        featurizer=None if made is None else made.featurizer,
        ask=ask,
        questions=None if labels == "all" else Budget.of(labels).limits(store.counts()["queries"])[0],
        at_once=AT_ONCE if page else None,
        background=page,
    )


def serving(
    labelling: Labelling, address: str = "127.0.0.1", annotator: str = "", *, browser: bool = False
) -> tuple[str, Callable[[], None]]:
    """Listen for whoever labels; returns the page's address, and what serves it until it is interrupted."""
    import socket

    import uvicorn

    from memreward.label.page import create_page
    from memreward.service.token import host_and_port, is_loopback, token_from

    host, port = host_and_port(address)
    token = token_from() or secrets.token_urlsafe(24)
    listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    shown = f"[{host}]" if ":" in host else host
    query = urlencode({"token": token, "annotator": annotator or _user()})
    address = f"http://{shown}:{listening.getsockname()[1]}/?{query}"
    if browser and is_loopback(host) and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        webbrowser.open(address)
    page = create_page(labelling, token=token, annotator=annotator)
    server = uvicorn.Server(uvicorn.Config(page, log_level="warning"))

    def serve() -> None:
        with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C is how a session ends, and uvicorn passes it on
            server.run(sockets=[listening])

    return address, serve


def _report(output: Output, labelling: Labelling, report: dict[str, Any]) -> None:
    progress = labelling.progress()
    told, limit = progress.foretold, "" if progress.limit is None else f" of {progress.limit}"
    rows: list[tuple[str, Any]] = [
        ("questions with a label", f"{progress.questions}{limit}"),
        ("judgements", progress.judgements),
        ("skipped, broken", f"{progress.skipped}, {progress.broken}"),
        ("unlabelled questions decided with confidence", f"{progress.decided} of {progress.waiting}"),
        ("advantages that the next ten labels are expected to change", progress.next_ten),
    ]
    if told.model:
        rows += [
            (
                "judged rollouts predicted, by the model and by majority vote",
                f"{told.model[-1]:.3f}, {told.majority[-1]:.3f}",
            ),
            ("cosine of their advantages", f"{told.model_cosine:.3f}, {told.majority_cosine:.3f}"),
        ]
    if progress.twice:
        rows.append(("judged twice, Cohen's kappa", f"{progress.twice}, {progress.kappa:.2f}"))
    if progress.people_and_judges[0]:
        both, agreed = progress.people_and_judges
        rows.append(("answers on which people and judges agree", f"{agreed} of {both}"))
    output.table("Labelling", ("", ""), [*((k.replace("_", " "), v) for k, v in report.items()), *rows])
    output.result(report | asdict(progress))


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "annotator"
