"""What is shown of a training's history."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from memreward.cli import app
from memreward.cli.watch import curve, shown


def row(step: int, **more: float | None) -> dict[str, float | None]:
    values = {"live/predicted": 0.5 + step / 100, "live/true": 0.6, "live/cosine": None, "labelled_queries": 20}
    return {"step": step, "seconds": 2.0 * step} | {f"memreward/{k}": v for k, v in (values | more).items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lines = [json.dumps(row(step, alarm=float(step == 7), asked=3.0, judgements=8.0 * step)) for step in range(1, 11)]
    # The last line is being written while it is read.
    (tmp_path / "history.jsonl").write_text("\n".join(lines) + '\n{"step": 11, "mem')
    return tmp_path


def test_predicted_and_true_reward_stand_beside_each_other(folder: Path) -> None:
    done = CliRunner().invoke(app, ["watch", str(folder)])
    lines = {line[:26].strip(): line for line in done.stdout.splitlines()}
    assert lines["predicted, where labelled"].split()[-1] == "0.600"
    assert lines["predicted, where labelled"].split()[3] == "0.510"
    assert "▁▂▃▃▄▅▆▆▇█" in lines["predicted, where labelled"]
    assert lines["true, on the same"].split()[-1] == "0.600"
    assert "cosine, ours" not in lines
    assert "20 questions before the training, 80 judgements in it" in done.stdout
    assert "ALARM at step 7" in done.stdout
    assert "3 questions wait for a label" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_json_is_the_newest_step(folder: Path) -> None:
    said = json.loads(CliRunner().invoke(app, ["watch", str(folder), "--json"]).stdout)
    assert (said["rows"], said["last"]["step"]) == (10, 10)


def test_what_has_not_begun_is_said(tmp_path: Path) -> None:
    for place, word in ((tmp_path, "no step yet"), (tmp_path / "nowhere", "is not a folder")):
        done = CliRunner().invoke(app, ["watch", str(place)])
        assert done.exit_code == 1
        assert word in done.stderr


@pytest.mark.parametrize("width", [20, 44, 60])
def test_narrow_terminals_lose_the_curve_first(width: int) -> None:
    lines = list(shown([row(1), row(2)], width))
    assert any(line.split()[-1] == "0.520" for line in lines)
    assert len(curve(range(100), 10)) == 10


def scraped(**more: float) -> str:
    told = {"up": 1, "labelled_queries": 20, "waiting": 3, "collecting": 2, "faults": 0, "failures_total": 0}
    told |= {"live_right": 30, "live_wrong": 10, "live_tpr": 0.8, "live_fpr": 0.4, "live_j": 0.4} | more
    lines = [f"# HELP memreward_{name} x\nmemreward_{name} {float(value)}" for name, value in told.items()]
    kinds = {"truth": 10, "predicted": 80, "abstained": 10}
    lines += [f'memreward_rollouts_total{{source="{kind}"}} {count}.0' for kind, count in kinds.items()]
    return "\n".join([*lines, 'memreward_groups_total{whole="yes"} 12.0', 'memreward_groups_total{whole="no"} 1.0', ""])


@pytest.fixture
def served() -> Iterator[tuple[str, dict[str, Any]]]:
    """An address, and what is said there: "text", and under "token" what is asked for."""
    said: dict[str, Any] = {"text": scraped(), "token": ""}

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            right = self.headers.get("Authorization", "") in (f"Bearer {said['token']}", said["token"])
            self.send_response(200 if self.path == "/metrics" and right else 401)
            self.end_headers()
            self.wfile.write(said["text"].encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Pages) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", said
        server.shutdown()


def test_a_service_is_watched_by_its_address(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    url, said = served
    done = CliRunner().invoke(app, ["watch", url])
    lines = {line[:26].strip(): line for line in done.stdout.splitlines()}
    assert lines["predicted, where labelled"].split()[-1] == "0.700"
    assert lines["true, on the same"].split()[-1] == "0.750"
    assert lines["abstained"].split()[-1] == "0.100"
    assert lines["live J"].split()[-1] == "0.400"
    assert lines["rollouts that wait"].split()[-1] == "3.000"
    assert "100 rollouts in 13 groups answered" in done.stdout
    assert "labels: 20 questions\nno alarm" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    said.update(text=scraped(faults=2, failures_total=4), token="a-token-that-is-long")
    assert "needs the token in MEMREWARD_TOKEN" in CliRunner().invoke(app, ["watch", url]).stderr
    monkeypatch.setenv("MEMREWARD_TOKEN", "a-token-that-is-long")
    told = CliRunner().invoke(app, ["watch", url]).stdout
    assert "ALARM: 2 groups met a bug" in told
    assert "4 rollouts got no reward" in told
    said.update(text=scraped(failures_total=1))
    assert "1 rollouts got no reward, since something failed: the service's log says what\nno alarm" in (
        CliRunner().invoke(app, ["watch", url]).stdout
    )


def test_where_no_service_of_ours_answers_it_is_said(served: Any) -> None:
    url, said = served
    said["text"] = "python_info 1.0\n"
    assert "is not a service of memreward" in CliRunner().invoke(app, ["watch", url]).stderr
    gone = CliRunner().invoke(app, ["watch", "http://127.0.0.1:9"])
    assert (gone.exit_code, "no service answers" in gone.stderr) == (1, True)


def test_curves_of_a_service_grow_with_each_look() -> None:
    looks = [{"memreward/live/true": n / 10, "rollouts": n, "groups": n} for n in range(11)]
    (line,) = [line for line in shown(looks) if line.startswith("true, on")]
    assert "▁▂▂▃▄▅▅▆▇▇█" in line
