"""A tuned model goes to a hub by consent: to a server of ours, which speaks as the hub does."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from huggingface_hub import constants
from typer.testing import CliRunner

from braindash.cli import app
from braindash.errors import InputError
from braindash.exports.push import plan_upload

RECORD = {
    "spec": {"control": "none", "settings": {"adapter": None, "loss": "mse", "seed": 0},
             "subjects": ["A"]},
    "base": {"name": "facebook/x", "fingerprint": "f" * 32, "revision": "a" * 40,
             "source": "/home/someone/models/x"},
    "data": {"name": "lab", "simulated": False},
    "fingerprint": "e" * 32,
    "targets": {"A": {"rule": "all", "n_targets": 3}},
    "stories": {"train": {"a": 10}, "validation": {"b": 5}, "never_trained_on": ["c"]},
    "history": [{"epoch": 0, "loss": None, "validation_r": {"A": 0.1}, "seconds": 1.0}],
    "kept_epoch": 0, "stopped": "", "improved": True, "warnings": [],
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "tuned"
    place.mkdir()
    (place / "tuning.json").write_text(json.dumps(RECORD))
    (place / "config.json").write_text("{}")
    (place / "model.safetensors").write_bytes(b"w" * 5000)
    (place / "README.md").write_text("---\nlicense: mit\n---\n")
    (place / ".cache").mkdir()
    (place / ".cache" / "secret").write_text("token")
    (tmp_path / "outside").write_text("secret")
    (place / "link").symlink_to(tmp_path / "outside")
    return place


class Hub(BaseHTTPRequestHandler):
    """As much of the hub as an upload asks for; keeps what it gets."""

    def log_message(self, *_):
        """Say nothing."""

    def answer(self, content, status=200, **headers):
        body = json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def refused(self) -> bool:
        if self.headers.get("Authorization") == "Bearer hf_right":
            return False
        self.body()
        self.answer({"error": "no"}, 401)
        return True

    def do_GET(self):
        hub = self.server.kept
        if self.refused():
            return
        if self.path.startswith("/api/models/me/tuned") and hub["repository"]:
            self.answer(
                {
                    "id": "me/tuned",
                    "private": hub["repository"].get("private", True),
                    "sha": "0" * 40,
                }
            )
        else:
            self.answer({"error": "Repository not found"}, 404, X_Error_Code="RepoNotFound")

    def do_POST(self):
        hub, body = self.server.kept, b""
        if self.refused():
            return
        body = self.body()
        if self.path == "/api/validate-yaml":
            self.answer({"errors": [], "warnings": []})
        elif self.path == "/api/repos/create":
            hub["repository"] = json.loads(body)
            self.answer({"url": f"{hub['url']}/me/tuned"})
        elif "/preupload/" in self.path:
            files = json.loads(body)["files"]
            told = [{"path": one["path"], "shouldIgnore": False,
                     "uploadMode": "lfs" if one["path"].endswith("tensors") else "regular"}
                    for one in files]  # fmt: skip
            self.answer({"files": told})
        elif self.path.endswith("/info/lfs/objects/batch"):
            objects = [
                {"oid": one["oid"], "size": one["size"],
                 "actions": {"upload": {"href": f"{hub['url']}/store/{one['oid']}"}}}
                for one in json.loads(body)["objects"]
            ]  # fmt: skip
            self.answer({"objects": objects, "transfer": "basic"})
        elif "/commit/" in self.path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    content = base64.b64decode(line["value"]["content"])
                    hub["files"][line["value"]["path"]] = content
                if line["key"] == "lfsFile":
                    hub["files"][line["value"]["path"]] = hub["objects"][line["value"]["oid"]]
            self.answer({"commitUrl": f"{hub['url']}/me/tuned/commit/1", "commitOid": "1" * 40,
                         "success": True})  # fmt: skip
        else:
            self.answer({}, 404)

    def do_PUT(self):
        self.server.kept["objects"][self.path.rsplit("/", 1)[-1]] = self.body()
        self.answer({})


@pytest.fixture
def hub():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    url = f"http://127.0.0.1:{server.server_port}"
    server.kept = {"repository": None, "files": {}, "objects": {}, "url": url}
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.kept
    server.shutdown()
    server.server_close()


@pytest.fixture
def push(folder, hub, monkeypatch, tmp_path):
    """Run the command against our server, whose address huggingface_hub takes for the hub's."""
    monkeypatch.setattr(constants, "ENDPOINT", hub["url"])
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def run(*options, token="hf_right", answer=""):
        monkeypatch.setenv("HF_TOKEN", token)
        asked = ["models", "push", str(folder), "me/tuned", *options]
        return CliRunner().invoke(app, asked, input=answer)

    return run


def test_a_model_arrives_whole_private_and_without_places(push, hub):
    done = push("--yes")
    assert done.exit_code == 0, done.exception
    assert done.stdout.strip() == f"{hub['url']}/me/tuned/commit/1"
    asked = hub["repository"]  # in the words of this or of another version
    assert asked.get("private") or asked.get("visibility") == "private"
    assert set(hub["files"]) == {"tuning.json", "config.json", "model.safetensors", "README.md"}
    assert hub["files"]["model.safetensors"] == b"w" * 5000
    left = json.loads(hub["files"]["tuning.json"])
    assert left["base"]["source"] == "…/x" and left["history"] == RECORD["history"]


def test_nothing_leaves_without_consent_or_into_the_open(push, hub):
    done = push(answer="n\n")
    assert done.exit_code == 1 and not hub["repository"] and not hub["files"]
    hub["repository"] = {"private": False}
    done = push("--yes")
    assert "everybody can see it" in str(done.exception) and not hub["files"]
    assert push("--yes", "--public").exit_code == 0 and hub["files"]


def test_a_hub_that_refuses_or_is_down_is_said(push, hub, monkeypatch):
    assert "hf auth login" in push("--yes", token="hf_wrong").exception.hint
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set" in push("--yes").exception.message
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert "cannot be reached" in push("--yes").exception.message
    assert not hub["files"]


def test_what_would_leave_is_told_from_the_folder_alone(folder):
    planned = plan_upload(folder, "me/tuned")
    assert planned.files["model.safetensors"] == 5000 and not planned.public
    assert set(planned.changed) == {"tuning.json"} and ".cache/secret" not in planned.files
    (folder / "adapter_config.json").write_text(
        '{"base_model_name_or_path": "/data/models/hubert-base"}'
    )
    changed = plan_upload(folder, "me/tuned").changed["adapter_config.json"]
    assert json.loads(changed) == {"base_model_name_or_path": "hubert-base"}
    for name in ("tuned", "a/b/c", "../x/y", "a b/c"):
        with pytest.raises(InputError, match="no repository"):
            plan_upload(folder, name)
    with pytest.raises(InputError, match="not the folder of a tuned model"):
        plan_upload(folder.parent, "me/tuned")
