"""Makes the ray caster and the fake model server importable; keeps all tests on this machine."""

import importlib.util
import ipaddress
import json
import os
import socket
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
collect_ignore = ["stand_ins"]  # upstream's names, one of which looks like a test's
os.environ["HF_HUB_OFFLINE"] = "1"  # read where the hub's client is imported


def _is_here(address) -> bool:
    if not isinstance(address, tuple):  # a Unix socket
        return True
    host = address[0]
    if host in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@pytest.fixture(autouse=True)
def beyond_this_machine(monkeypatch):
    """Refuse and record what would leave this machine; one attempt fails the test."""
    attempts = []
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex
    resolve = socket.getaddrinfo

    def check(what):
        if not _is_here(what):
            attempts.append(what)
            raise OSError(f"a test tried to reach {what}")

    def checked_connect(self, address):
        check(address)
        return connect(self, address)

    def checked_connect_ex(self, address):
        check(address)
        return connect_ex(self, address)

    def checked_resolve(host, *more, **options):
        check((host.decode() if isinstance(host, bytes) else host or "",))
        return resolve(host, *more, **options)

    monkeypatch.setattr(socket.socket, "connect", checked_connect)
    monkeypatch.setattr(socket.socket, "connect_ex", checked_connect_ex)
    monkeypatch.setattr(socket, "getaddrinfo", checked_resolve)
    yield attempts
    assert not attempts, f"nothing may leave this machine, but {attempts} were tried"


@pytest.fixture
def model_server(monkeypatch):
    """A fake of every model service, and keys that are good for it alone."""
    from model_server import ModelServer

    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("GEMINI_API_KEY", "secret-gemini-key")
    monkeypatch.setenv("OPENAI_API_KEY", "secret-openai-key")
    server = ModelServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def robot_account():
    """A service account as a cloud hands it out; its key was made here and is good for nothing."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return {
        "type": "service_account",
        "project_id": "some-project",
        "private_key_id": "1",
        "private_key": pem.decode(),
        "client_email": "robot@some-project.iam.gserviceaccount.com",
    }


@pytest.fixture
def google_credentials(model_server, robot_account, tmp_path, monkeypatch):
    """Name a credentials file whose tokens come from the fake server."""
    path = tmp_path / "account.json"
    path.write_text(json.dumps({**robot_account, "token_uri": f"{model_server.url}/token"}))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    return path


@pytest.fixture(scope="session")
def tiny_wan(tmp_path_factory):
    """Parameters of the backend `wan` that name models of random weights, and small clips."""
    from tiny_wan import save_tiny_wan

    folder = tmp_path_factory.mktemp("wan")
    for name, with_goal in (("i2v", False), ("flf2v", True)):
        save_tiny_wan(folder / name, with_goal=with_goal)
    return {
        "wan_model": str(folder / "i2v"), "wan_flf2v_model": str(folder / "flf2v"),
        "wan_device": "cpu", "wan_dtype": "float32", "wan_steps": 2,
        "wan_width": 64, "wan_height": 48,
    }  # fmt: skip


@pytest.fixture(scope="session")
def tiny_sam2(tmp_path_factory):
    """Parameters of the masks' backend `sam2` that name a model of random weights."""
    pytest.importorskip("transformers", reason="./novaflow setup --with torch is wanted")
    # The backend is another package's, and so is the recipe for a small one.
    recipe = Path(__file__).parents[2] / "novaflow_perception" / "test" / "tiny_grounding.py"
    spec = importlib.util.spec_from_file_location("tiny_grounding_of_perception", recipe)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder = tmp_path_factory.mktemp("sam2")
    module.save_tiny_sam2(folder)
    return {"sam2_model": str(folder), "sam2_device": "cpu"}
