"""Pinned weights: found in one order, refused when they are others, and never run."""

from __future__ import annotations

import hashlib
import os
import pickle
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from zoo_core.adapters import pinned as module
from zoo_core.adapters.pinned import (
    PinnedFile,
    content_sha256,
    load_state,
    locate_pinned,
    pinned_protocol,
)
from zoo_core.errors import ConfigError

CONTENT = b"weights of the scorer"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
COMMIT = "0123456789abcdef0123456789abcdef01234567"
PINNED = PinnedFile(
    name="a scorer",
    file="scorer.pt",
    licence="Apache-2.0",
    repo="someone/scorer",
    revision=COMMIT,
    sha256=SHA256,
    size=1_700_000_000,
)


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """Empty places of every kind, and no leave to download."""
    monkeypatch.setenv("ZOO_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv("ZOO_DOWNLOAD", raising=False)
    monkeypatch.delenv("HF_ENDPOINT", raising=False)


def put(path: Path, content: bytes = CONTENT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_each_place_is_looked_at_in_its_turn(tmp_path):
    snapshot = tmp_path / "hub" / "models--someone--scorer" / "snapshots" / COMMIT
    in_hub_cache = put(snapshot / "scorer.pt")
    assert locate_pinned(PINNED) == in_hub_cache
    in_weights_folder = put(tmp_path / "weights" / "someone" / "scorer" / "scorer.pt")
    assert locate_pinned(PINNED) == in_weights_folder
    named = put(tmp_path / "named" / "scorer.pt")
    assert locate_pinned(PINNED, str(named.parent)) == named
    assert locate_pinned(PINNED, str(named)) == named


def test_another_revision_in_the_hub_cache_is_not_taken(tmp_path):
    put(tmp_path / "hub" / "models--someone--scorer" / "snapshots" / ("f" * 40) / "scorer.pt")
    with pytest.raises(ConfigError, match=r"scorer\.pt is not in"):
        locate_pinned(PINNED)


def test_a_file_in_a_folder_of_its_repository_is_found_with_and_without_it(tmp_path):
    pinned = PinnedFile("x", "text/model.pt", "MIT")
    flat = put(tmp_path / "flat" / "model.pt")
    assert locate_pinned(pinned, str(tmp_path / "flat")) == flat
    nested = put(tmp_path / "weights" / "x" / "text" / "model.pt")
    assert locate_pinned(pinned) == nested


def test_a_package_can_carry_the_file():
    pinned = PinnedFile("tiny CLIP", "open_clip_model.safetensors", "Apache-2.0")
    found = locate_pinned(pinned, "package:zoo_shapes/weights/tiny_clip")
    assert found.is_file()


def test_a_missing_file_says_what_from_where_into_which_folder_under_which_licence(tmp_path):
    with pytest.raises(ConfigError) as caught:
        locate_pinned(PINNED)
    sentence = str(caught.value)
    for part in (
        "a scorer",
        "scorer.pt",
        f"someone/scorer at revision {COMMIT}",
        str(tmp_path / "weights" / "someone" / "scorer"),
        "licence: Apache-2.0",
        "1.70 GB",
        "ZOO_DOWNLOAD=1",
    ):
        assert part in sentence


def test_a_named_folder_is_the_only_place_looked_at(tmp_path):
    put(tmp_path / "weights" / "someone" / "scorer" / "scorer.pt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=f"is not in {tmp_path / 'empty'}"):
        locate_pinned(PINNED, str(tmp_path / "empty"))


def test_a_wrong_hash_names_both(tmp_path):
    put(tmp_path / "weights" / "someone" / "scorer" / "scorer.pt", b"something else")
    other = hashlib.sha256(b"something else").hexdigest()
    with pytest.raises(ConfigError, match=f"(?s){other}.*{SHA256}"):
        locate_pinned(PINNED)
    assert locate_pinned(PINNED.expecting("any")).name == "scorer.pt"
    assert locate_pinned(PINNED.expecting(other.upper())).name == "scorer.pt"
    assert PINNED.expecting("") is PINNED
    with pytest.raises(ConfigError, match="64 hexadecimal digits"):
        PINNED.expecting("abc")


def test_the_protocol_has_the_hash_found_even_when_none_is_pinned(tmp_path):
    path = put(tmp_path / "free.pt", b"anything")
    entries = pinned_protocol(PinnedFile("free", "free.pt", "MIT"), path)
    assert entries == {
        "file": "free.pt",
        "source": "free",
        "sha256": hashlib.sha256(b"anything").hexdigest(),
    }
    assert pinned_protocol(PINNED, path)["revision"] == COMMIT


def test_a_file_is_hashed_once_until_it_changes(tmp_path, monkeypatch):
    path = put(tmp_path / "big.pt")
    reads = []
    digest = hashlib.file_digest
    monkeypatch.setattr(
        module.hashlib, "file_digest", lambda file, name: reads.append(1) or digest(file, name)
    )
    assert [content_sha256(path), content_sha256(path)] == [SHA256, SHA256]
    assert len(reads) == 1
    put(path, b"weights of the SCORER")  # as long as before
    os.utime(path, ns=(1, 1))
    assert content_sha256(path) != SHA256
    assert len(reads) == 2


def test_a_damaged_or_unwritable_cache_changes_nothing(tmp_path, monkeypatch):
    path = put(tmp_path / "big.pt")
    content_sha256(path)
    (note,) = (tmp_path / "cache" / "sha256").iterdir()
    note.write_text('{"path": ')
    assert content_sha256(path) == SHA256
    put(tmp_path / "file")
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "file"))
    assert content_sha256(path) == SHA256


class Mirror(BaseHTTPRequestHandler):
    """A hub that has one file at one commit."""

    def do_HEAD(self, body: bool = False):
        self.server.asked.append(self.path)
        found = self.path in (f"/someone/scorer/resolve/{COMMIT}/scorer.pt", "/plain/scorer.pt")
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(CONTENT) if found else 0))
        self.send_header("ETag", f'"{SHA256}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if body and found:
            self.wfile.write(CONTENT)

    def do_GET(self):
        self.do_HEAD(body=True)

    def log_message(self, *_):
        pass


@pytest.fixture
def mirror():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    server.asked = []
    server.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_nothing_is_fetched_without_leave(mirror, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", mirror.address)
    with pytest.raises(ConfigError, match="is not in"):
        locate_pinned(PINNED)
    assert mirror.asked == []


def test_a_mirror_serves_the_pinned_revision_once(mirror, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_ENDPOINT", mirror.address)
    monkeypatch.setenv("ZOO_DOWNLOAD", "1")
    path = locate_pinned(PINNED)
    assert path.read_bytes() == CONTENT
    assert path.is_relative_to(tmp_path / "hub")
    asked = len(mirror.asked)
    assert locate_pinned(PINNED) == path
    assert len(mirror.asked) == asked


def test_a_plain_address_is_fetched_into_the_weights_folder(mirror, monkeypatch, tmp_path):
    monkeypatch.setenv("ZOO_DOWNLOAD", "1")
    pinned = PinnedFile(
        "plain", "scorer.pt", "MIT", url=f"{mirror.address}/plain/scorer.pt", sha256=SHA256
    )
    assert locate_pinned(pinned) == tmp_path / "weights" / "plain" / "scorer.pt"


@pytest.mark.parametrize("what", ["hub", "plain"])
def test_a_failed_download_says_so_and_what_to_do(mirror, monkeypatch, what):
    monkeypatch.setenv("HF_ENDPOINT", mirror.address)
    monkeypatch.setenv("ZOO_DOWNLOAD", "1")
    absent = {
        "hub": PinnedFile("absent", "none.pt", "MIT", repo="someone/scorer", revision=COMMIT),
        "plain": PinnedFile("absent", "none.pt", "MIT", url=f"{mirror.address}/none.pt"),
    }[what]
    with pytest.raises(
        ConfigError, match=r"absent: downloading none\.pt .* failed: .*Put it there"
    ):
        locate_pinned(absent)


@pytest.mark.slow  # the hub's client tries again for twenty seconds
def test_no_connection_is_a_sentence_too(monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("ZOO_DOWNLOAD", "1")
    with pytest.raises(ConfigError, match=r"downloading scorer\.pt"):
        locate_pinned(PINNED)


TENSORS = {"weight": torch.arange(6.0).view(2, 3), "half": torch.ones(2, dtype=torch.float16)}


@pytest.mark.parametrize("old", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".ckpt"])
def test_torch_files_are_read_in_both_formats(tmp_path, suffix, old):
    path = tmp_path / f"model{suffix}"
    torch.save(TENSORS, path, _use_new_zipfile_serialization=not old)
    state = load_state(path)
    assert state.keys() == TENSORS.keys()
    assert all(torch.equal(state[name], value) for name, value in TENSORS.items())
    assert state["half"].dtype == torch.float16


def test_safetensors_are_read(tmp_path):
    save_file(TENSORS, tmp_path / "model.safetensors")
    assert torch.equal(load_state(tmp_path / "model.safetensors")["weight"], TENSORS["weight"])


def test_tensors_under_a_key_are_read_and_the_rest_is_left(tmp_path):
    path = tmp_path / "model.pt"
    torch.save({"epoch": 3, "state_dict": TENSORS}, path)
    assert load_state(path, under="state_dict").keys() == TENSORS.keys()
    with pytest.raises(ConfigError, match="'epoch' is a int, not a tensor"):
        load_state(path)
    with pytest.raises(ConfigError, match="has no 'model'"):
        load_state(path, under="model")


class Malicious:
    """Unpickled by Python's own reader, it makes a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return (open, (str(self.trace), "w"))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol 4")
@pytest.mark.parametrize("form", ["zip", "legacy", "bare", "bare protocol 4"])
@pytest.mark.parametrize("under", [None, "state_dict"])
def test_a_malicious_pickle_is_never_run(tmp_path, form, under):
    trace, path = tmp_path / "trace", tmp_path / "model.pt"
    content = {"state_dict": {"weight": torch.ones(2)}, "extra": Malicious(trace)}
    if form.startswith("bare"):
        content = {"weight": 1, "extra": Malicious(trace)}
        path.write_bytes(pickle.dumps(content, protocol=4 if form.endswith("4") else 2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(ConfigError, match=r"model\.pt is (a Python pickle|no intact)"):
        load_state(path, under=under)
    assert not trace.exists()
    if not form.startswith("bare"):  # it would have been, by the reader that trusts files
        torch.load(path, weights_only=False)
        assert trace.exists()


def test_a_refused_pickle_names_what_it_holds(tmp_path):
    torch.save({"extra": Malicious(tmp_path / "trace")}, tmp_path / "model.pt")
    with pytest.raises(ConfigError, match=r"holds \S*open besides tensors.*save the tensors alone"):
        load_state(tmp_path / "model.pt")


def test_a_torchscript_program_is_not_run(tmp_path):
    path = tmp_path / "model.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", b"")
        archive.writestr("model/constants.pkl", b"")
    with pytest.raises(ConfigError, match="TorchScript program, which is not run"):
        load_state(path)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("keep", [0, 3, 200, 1500])
def test_a_truncated_file_is_named(tmp_path, suffix, keep):
    path = tmp_path / f"model{suffix}"
    tensors = {"weight": torch.ones(500)}
    save_file(tensors, path) if suffix == ".safetensors" else torch.save(tensors, path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ConfigError, match=rf"model\{suffix} is no intact"):
        load_state(path)


def test_other_contents_and_endings_are_refused(tmp_path):
    torch.save([torch.ones(2)], tmp_path / "model.pt")
    with pytest.raises(ConfigError, match="holds a list; expected tensors by name"):
        load_state(tmp_path / "model.pt")
    with pytest.raises(ConfigError, match=r"weights end in \.safetensors"):
        load_state(put(tmp_path / "model.pkl"))
