"""A Label Studio server from its wheel, on loopback: a batch is imported, judged by its API, exported and read back.

Beside it Argilla's own records, which need no server.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from label_toys import groups, labelling, truth

from memreward.label import files

pytest.importorskip("label_studio", reason="no Label Studio: make test-label-studio installs it")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(5400)]
TOKEN, USER = "0123456789abcdef0123456789abcdef01234567", "ann@example.com"


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a fresh server; its hundreds of migrations, minutes on a busy machine, are a step before it."""
    folder = tmp_path_factory.mktemp("studio")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = shutil.which("label-studio", path=str(Path(sys.executable).parent))
    assert command is not None
    settings = {**os.environ, "COLLECT_ANALYTICS": "false", "HOME": str(folder)}
    words = ["start", "--no-browser", "--port", str(port), "--internal-host", "127.0.0.1", "--data-dir", str(folder)]
    words += ["--username", USER, "--password", "a-long-password", "--user-token", TOKEN, "--enable-legacy-api-token"]
    with (folder / "log").open("wb") as log:
        migrate = [command, "version", "--data-dir", str(folder)]  # of any command, this does nothing else
        assert not subprocess.run(migrate, stdout=log, stderr=log, env=settings, check=False).returncode
        server = subprocess.Popen([command, *words], stdout=log, stderr=log, env=settings)
    headers = {"authorization": f"Token {TOKEN}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=120, trust_env=False) as client:
        while not _answers(client):
            assert server.poll() is None, (folder / "log").read_text()[-3000:]
            time.sleep(1)
        yield client
    server.terminate()
    server.wait(60)


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/api/projects").status_code == 200
    except httpx.TransportError:
        return False


def said(reply: httpx.Response) -> Any:
    assert reply.is_success, reply.text
    return reply.json()


def test_a_batch_is_judged_in_label_studio_and_comes_back(studio: httpx.Client, tmp_path: Path) -> None:
    session = labelling(groups(), ask="whole", twice=0.0)
    sent = files.to_label_studio(files.batch(session, 4, "ann"))
    project = said(studio.post("/api/projects", json={"title": "sums", "label_config": files.LABEL_STUDIO_CONFIG}))
    said(studio.post(f"/api/projects/{project['id']}/import", json=sent))
    tasks = said(studio.get(f"/api/projects/{project['id']}/tasks", params={"page_size": 10}))
    by_name = {task["data"]["memreward_id"]: task for task in tasks}
    names = [task["data"]["memreward_id"] for task in sent]
    assert sorted(by_name) == sorted(names)
    for name, choices in zip(names, (None, [files.NONE], [files.BROKEN]), strict=False):
        task = by_name[name]
        answers = enumerate(task["data"]["memreward"]["answers"], start=1)
        right = choices or [str(n) for n, answer in answers if answer["text"] == truth(name)]
        result = {"from_name": "right", "to_name": "question", "type": "choices", "value": {"choices": right}}
        judged = {"result": [result], "lead_time": 7.5, "was_cancelled": False}
        said(studio.post(f"/api/tasks/{task['id']}/annotations", json=judged))
    export = {"exportType": "JSON", "download_all_tasks": "true"}
    exported = studio.get(f"/api/projects/{project['id']}/export", params=export)
    (tmp_path / "export.json").write_text(json.dumps(said(exported)), encoding="utf-8")
    back = files.from_label_studio(files.read(tmp_path / "export.json"))
    assert files.take_in(session, back, "ann") == Counter(entered=2, broken=1, unanswered=1)
    labels = session.door.labels()
    for group in groups():
        mine = [labels.get(rollout.id) for rollout in group.rollouts]
        right = [rollout.answer == truth(group.query.id) for rollout in group.rollouts]
        wanted: dict[str, list[bool] | list[None]] = {names[0]: right, names[1]: [False] * len(right)}
        assert mine == wanted.get(group.query.id, [None] * len(right))
    assert session.said(names[0])[0].data["seconds"] == 7.5
    assert session.broken() == {names[2]}


def test_argillas_own_records_take_a_batch_and_bring_it_back() -> None:
    rg = pytest.importorskip("argilla", reason="no argilla: make test-label-studio installs it")
    session = labelling(groups(), ask="whole", twice=0.0)
    made = [rg.Record(**record) for record in files.to_argilla(files.batch(session, 2, "ann"))]
    made[0].responses.add(rg.Response(question_name="right", value=["1"], user_id=uuid.uuid4(), status="submitted"))
    back = [record.to_dict() for record in made]
    assert files.take_in(session, files.from_argilla(back), "ann") == Counter(entered=1, unanswered=1)
