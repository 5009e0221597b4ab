"""The contract between NovaFlow and model servers: sizes, tokens, versions, restarts, no pickle."""

from __future__ import annotations

import http.client
import io
import pickle
import subprocess
import sys
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
from small_models import Served

from novaflow_core.errors import Code, PlatformError, TrackingError
from novaflow_flowgen.serving import caller, contract
from novaflow_flowgen.serving.client import ModelClient, ModelServerSettings
from novaflow_flowgen.serving.options import fit_options, read_option
from novaflow_flowgen.serving.server import ModelServer, load_model, load_models

QUICK = {"model_backoff_s": 0.01, "model_timeout_s": 20.0}


def double(arrays):
    return {name: 2 * array for name, array in arrays.items()}


@pytest.fixture
def served():
    running = []

    def start(models=None, **keywords):
        running.append(Served(models or {"double": double}, **keywords))
        return running[-1]

    yield start
    for server in running:
        server.close()


def ask(url, arrays=None, model="double", should_stop=lambda: False, **parameters):
    client = ModelClient(url, model, ModelServerSettings(**{**QUICK, **parameters}))
    return client.ask(arrays or {"x": np.arange(3)}, should_stop)


def refusal(*arguments, **keywords):
    with pytest.raises(TrackingError) as error:
        ask(*arguments, **keywords)
    return error.value


@pytest.mark.parametrize("kind", [np.uint8, np.float16, np.float32, np.float64, np.bool_, np.int64])
def test_arrays_come_through_as_they_are(kind):
    arrays = {"file": np.zeros((0, 3), kind), "b": np.ones((2, 3, 4), kind), "c": np.array(1, kind)}
    back = contract.unpack(contract.pack(arrays))
    assert set(back) == set(arrays)
    for name, array in arrays.items():
        assert back[name].dtype == array.dtype
        np.testing.assert_array_equal(back[name], array)


def test_objects_are_neither_sent_nor_read():
    with pytest.raises(contract.PayloadError):
        contract.pack({"x": np.array([{}])})
    stream = io.BytesIO()
    np.savez(stream, x=np.array([{"a": 1}], dtype=object))
    with pytest.raises(contract.PayloadError):
        contract.unpack(stream.getvalue())
    with pytest.raises(contract.PayloadError):
        contract.unpack(pickle.dumps({"x": 1}))


def test_a_small_archive_with_large_contents_is_refused():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", b"\0" * (8 << 20))
    assert len(stream.getvalue()) < 100_000
    with pytest.raises(contract.PayloadError, match="8388608 bytes"):
        contract.unpack(stream.getvalue(), 1 << 20)


def test_a_model_answers(served):
    np.testing.assert_array_equal(ask(served().url)["x"], [0, 2, 4])


def test_health_names_models_and_contract(served):
    server = served()
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"))
    connection.request("GET", "/health")
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.read() == b'{"contract": 1, "models": ["double"]}'
    connection.close()


def test_a_token_is_needed_where_one_is_set(served, monkeypatch):
    server = served(token="s3cret")
    monkeypatch.delenv("NOVAFLOW_MODEL_TOKEN", raising=False)
    assert refusal(server.url).code == Code.MODEL_REJECTED
    monkeypatch.setenv("NOVAFLOW_MODEL_TOKEN", "wrong-one")
    error = refusal(server.url)
    assert error.code == Code.MODEL_REJECTED
    assert "wrong-one" not in error.reason
    monkeypatch.setenv("NOVAFLOW_MODEL_TOKEN", "s3cret")
    assert len(ask(server.url)) == 1


def test_nothing_but_loopback_without_a_token():
    with pytest.raises(ValueError, match="needs a token"):
        ModelServer({"double": double}, host="0.0.0.0", port=0)


def test_too_large_requests_and_answers_are_refused(served):
    server = served(limit_bytes=10_000)
    error = refusal(server.url, {"x": np.zeros(100_000)})
    assert error.code in (Code.MODEL_REJECTED, Code.MODEL_UNAVAILABLE)
    assert not server.asked
    large = served({"double": lambda _: {"x": np.zeros(1 << 20)}})
    error = refusal(large.url, model_limit_mb=1)
    assert error.code == Code.MODEL_NONSENSE
    assert "1 MB" in error.reason


def test_a_model_that_hangs_times_out_and_can_be_cancelled(served):
    free = threading.Event()
    server = served({"double": lambda arrays: free.wait(30.0) and arrays})
    error = refusal(server.url, model_timeout_s=0.3, model_retries=0)
    assert error.code == Code.MODEL_TIMEOUT
    began = time.monotonic()
    with pytest.raises(PlatformError) as cancelled:
        ask(server.url, should_stop=lambda: time.monotonic() > began + 0.2)
    assert cancelled.value.code == Code.CANCELLED
    free.set()


def test_a_server_that_is_restarted_meanwhile_is_asked_again(served):
    first = served()
    port = int(first.url.rsplit(":", 1)[1])
    first.close()
    started = []
    timer = threading.Timer(0.3, lambda: started.append(served(port=port)))
    timer.start()
    answer = ask(first.url, model_retries=8, model_backoff_s=0.1)
    timer.join()
    np.testing.assert_array_equal(answer["x"], [0, 2, 4])


@pytest.mark.parametrize("spoken", ["2", ""])
def test_another_contract_is_named(spoken):
    class Newer(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            if spoken:
                self.send_header(contract.VERSION_HEADER, spoken)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Newer)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        error = refusal(f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert error.code == Code.MODEL_VERSION_MISMATCH
    assert f"'{spoken}'" in error.reason


def test_an_older_caller_is_told(served):
    server = served()
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"))
    body = contract.pack({"x": np.zeros(1)})
    connection.request("POST", "/models/double", body, {contract.VERSION_HEADER: "0"})
    answer = connection.getresponse()
    assert answer.status == 400
    assert b"contract 1 is spoken here, not 0" in answer.read()
    connection.close()


@pytest.mark.parametrize("url", ["localhost:8470", "", "ftp://here"])
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(PlatformError) as error:
        ModelClient(url, "double", ModelServerSettings())
    assert error.value.code == Code.INVALID_SETTING


@pytest.mark.parametrize("words", ["x", "x=y", "x=y:", "=y:z"])
def test_a_model_that_is_not_named_rightly_is_refused(words):
    with pytest.raises(ValueError, match="name=module:function"):
        load_model(words)


def test_it_serves_from_the_command_line(tmp_path):
    (tmp_path / "mine.py").write_text("def infer(arrays):\n    return {'y': arrays['x'] + 1}\n")
    command = [sys.executable, "-m", "novaflow_flowgen.serving.server", "--model", "m=mine:infer"]
    with subprocess.Popen(
        [*command, "--port", "0"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            url = process.stdout.readline().split()[-1]
            np.testing.assert_array_equal(ask(url, model="m")["y"], [1, 2, 3])
        finally:
            process.terminate()
    failed = subprocess.run(
        [*command[:-1], "m=nowhere:infer"], capture_output=True, text=True, check=False
    )
    assert failed.returncode == 2
    assert "error: No module named 'nowhere'" in failed.stderr


OWN_MODEL = """
from novaflow_flowgen.serving.errors import InputError, SetupError

made = []


def make_adder(*, by, factor=1.0, times=1):
    if by == "nothing":
        raise SetupError("no adder: install one")
    made.append(by)

    def add(arrays):
        if "x" not in arrays:
            raise InputError(f"no x, after {len(made)} times")
        return {"y": (arrays["x"] + int(by)) * factor * times}

    return add
"""


def test_a_factory_is_called_once_with_its_options(tmp_path):
    (tmp_path / "mine.py").write_text(OWN_MODEL)
    command = [
        sys.executable, "-m", "novaflow_flowgen.serving.server", "--port", "0",
        "--model", "m=mine:make_adder", "--option", "m.factor=2", "--option", "m.times=3",
    ]  # fmt: skip
    with subprocess.Popen(
        [*command, "--option", "m.by=5"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            url = process.stdout.readline().split()[-1]
            for _ in range(2):
                np.testing.assert_array_equal(ask(url, model="m")["y"], [30, 36, 42])
            # The model's own word, and its code: the server's classes are the model's, too.
            error = refusal(url, {"z": np.zeros(1)}, model="m")
            assert error.code == Code.MODEL_REJECTED
            assert "no x, after 1 times" in error.reason
        finally:
            process.terminate()
        assert process.wait() == 0
    for option, words in (
        ("m.by=nothing", "error: no adder: install one"),
        ("m.factor=1", "error: 'm' needs --option m.by=..."),
        ("n.by=1", "error: options for what is not served: n"),
    ):
        failed = subprocess.run(
            [*command, "--option", option],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert failed.returncode == 2
        assert words in failed.stderr


def test_options_are_of_their_defaults_type():
    def factory(*, path, share=0.5, count=3, name="x"):
        """Has four options."""

    given = {"path": "1", "share": "2", "count": "4", "name": "5"}
    assert fit_options("m", factory, given) == {"path": "1", "share": 2.0, "count": 4, "name": "5"}
    assert isinstance(fit_options("m", factory, given)["share"], float)
    for wrong, words in (
        ({"count": "4.5"}, "no int"),
        ({"other": "1"}, "path, share, count, name"),
    ):
        with pytest.raises(ValueError, match=words):
            fit_options("m", factory, {"path": "1", **wrong})


@pytest.mark.parametrize("words", ["m.x", "m=1", ".x=1", "m.=1", ""])
def test_an_option_that_is_not_named_rightly_is_refused(words):
    with pytest.raises(ValueError, match=r"model\.name=value"):
        read_option(words)
    assert read_option("m.x=a=b.c") == ("m", "x", "a=b.c")


def test_a_plain_function_takes_no_options():
    with pytest.raises(ValueError, match="takes no options"):
        load_models(["m=small_models:track"], ["m.x=1"])


def test_who_hung_up_before_his_turn_is_passed_over(served):
    begun, free, seen = threading.Event(), threading.Event(), []

    def slow(arrays):
        seen.append(int(arrays["x"]))
        begun.set()
        free.wait(20.0)
        return arrays

    server = served({"double": slow})
    first = threading.Thread(target=ask, args=(server.url, {"x": np.array(1)}))
    first.start()
    assert begun.wait(20.0)
    assert refusal(
        server.url, {"x": np.array(2)}, model_timeout_s=0.3, model_retries=0
    ).code == Code.MODEL_TIMEOUT  # fmt: skip
    free.set()
    first.join()
    assert ask(server.url, {"x": np.array(3)})["x"] == 3
    assert seen == [1, 3]


def test_a_model_can_ask_whether_its_caller_left(served):
    left = []

    def patient(arrays):
        end = time.monotonic() + 10.0
        assert not caller.has_left()
        while time.monotonic() < end and not caller.has_left():
            time.sleep(0.02)
        left.append(caller.has_left())
        return arrays

    server = served({"double": patient})
    refusal(server.url, model_timeout_s=0.3, model_retries=0)
    end = time.monotonic() + 10.0
    while not left and time.monotonic() < end:
        time.sleep(0.02)
    assert left == [True]
    assert not caller.has_left()
