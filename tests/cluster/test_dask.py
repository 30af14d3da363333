"""dask.distributed as a carrier: TLS or nothing, and the same parts by the same files."""

import contextlib
import socket
import sys
import threading

import pytest
from kit.running.job_tools import wait_for
from kit.running.part_runs import ToyRun
from kit.running.pulled import TESTS, done_lines, plan_toy, share
from typer.testing import CliRunner

from braindash.cli import app
from braindash.cluster import dask as carrier
from braindash.cluster import pulling
from braindash.cluster.dask import begin_on_scheduler, require_safe
from braindash.errors import InputError, JobError, ResourceError

needs_dask = pytest.mark.skipif(
    not __import__("importlib.util").util.find_spec("distributed"), reason="no distributed here"
)


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:8786", "tcp://localhost:1", "127.0.0.2:8786", "tcp://[::1]:8786",
                "tls://node1:8786", "tls://10.0.0.1:8786"],
)  # fmt: skip
def test_tls_and_this_machine_are_safe(address):
    assert require_safe(address).endswith(address.rpartition("/")[2])


@pytest.mark.parametrize(
    "address", ["tcp://10.0.0.1:8786", "node1:8786", "tcp://node1:8786", "tcp://[fe80::1]:8786",
                "tcp://localhost.evil.example:1", "tcp://0.0.0.0:8786"],
)  # fmt: skip
def test_plain_addresses_off_this_machine_are_refused(address):
    with pytest.raises(InputError, match="not protected"):
        require_safe(address)


@pytest.mark.parametrize(
    "address", ["", "tls://", "tls://node1", "http://node1:80", "inproc://1/2", "tcp://:8786",
                "tls://node1:99999", "tls://[::1:5"],
)  # fmt: skip
def test_what_is_no_address_is_refused(address):
    with pytest.raises(InputError, match="no address of a scheduler"):
        require_safe(address)


def test_without_dask_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ResourceError, match="not installed"):
        begin_on_scheduler(share(tmp_path, {"name": "a"}), "toy", "tls://127.0.0.1:1")


@pytest.fixture
def cluster(monkeypatch):
    """A scheduler with TLS on 127.0.0.1 and two workers, in this process."""
    import dask
    from distributed import LocalCluster
    from distributed.security import Security

    security = Security.temporary()
    names = ("ca_file", "scheduler_cert", "scheduler_key", "client_cert", "client_key")
    told = {f"tls_{name}": getattr(security, f"tls_{name}") for name in names}
    keys = {
        "distributed.comm.require-encryption": True,
        "distributed.comm.tls.ca-file": told["tls_ca_file"],
        "distributed.comm.tls.client.cert": told["tls_client_cert"],
        "distributed.comm.tls.client.key": told["tls_client_key"],
    }
    monkeypatch.setattr(pulling, "_usual_plan", lambda: plan_toy)
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    local = LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=False,
        protocol="tls",
        host="127.0.0.1",
        security=security,
        dashboard_address=":0",
    )
    with local, dask.config.set(keys):
        yield local


@needs_dask
def test_workers_of_dask_pull_parts_with_tls(cluster, tmp_path):
    names = [f"p{number}" for number in range(6)]
    shared = share(tmp_path, *({"name": name, "lasts": 0.1} for name in names))
    assert cluster.scheduler_address.startswith("tls://127.0.0.1:")
    assert begin_on_scheduler(shared, "toy", cluster.scheduler_address) == 2
    wait_for(lambda: shared.job("toy").state == "done", "the job")
    assert set(ToyRun(tmp_path / "made", []).made()) == {*names, "end"}
    assert set(done_lines(shared, "toy").values()) == {1}


@needs_dask
def test_cancelling_ends_what_runs_and_leaves_the_cluster_to_others(cluster, tmp_path):
    from distributed import Client

    shared = share(tmp_path, {"name": "a", "lasts": 60.0})
    begin_on_scheduler(shared, "toy", cluster.scheduler_address)
    wait_for(lambda: shared.job("toy").state == "running", "the part")
    shared.cancel("toy")
    wait_for(lambda: shared.job("toy").state == "cancelled", "the end", 10.0)
    with Client(cluster) as client:
        assert client.submit(abs, -3).result(10) == 3


@needs_dask
def test_a_store_that_no_worker_sees_is_told(cluster, tmp_path, monkeypatch):
    shared = share(tmp_path, {"name": "a"})
    monkeypatch.setattr(carrier, "sees_store", lambda root, key: ("node7", False))
    with pytest.raises(ResourceError, match="node7"):
        begin_on_scheduler(shared, "toy", cluster.scheduler_address)


@needs_dask
def test_nobody_at_an_address_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(carrier, "_CONNECT_SECONDS", 0.5)
    with pytest.raises(JobError, match="no scheduler answers"):
        begin_on_scheduler(share(tmp_path, {"name": "a"}), "toy", "tcp://127.0.0.1:9")


GREETINGS = {
    "nothing": b"",
    "http": b"HTTP/1.1 400 Bad Request\r\n\r\n" * 9,
    "zeros": bytes(800),
    "huge": b"\xff" * 800,
}


@needs_dask
@pytest.mark.parametrize("said", GREETINGS)
def test_another_server_at_an_address_is_no_scheduler(said, tmp_path, monkeypatch):
    """Dask's own client waits for ever, takes exbibytes, or lets its errors through."""
    monkeypatch.setattr(carrier, "_CONNECT_SECONDS", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            with contextlib.suppress(OSError):
                while True:
                    held.append(server.accept()[0])
                    held[-1].sendall(GREETINGS[said])

        held = []
        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(JobError, match="no scheduler answers"):
            begin_on_scheduler(
                share(tmp_path, {"name": "a"}), "toy", f"tcp://127.0.0.1:{server.getsockname()[1]}"
            )
        server.shutdown(socket.SHUT_RDWR)
    for one in held:
        one.close()


@needs_dask
def test_a_scheduler_without_workers_is_told(tmp_path):
    from distributed import LocalCluster

    shared = share(tmp_path, {"name": "a"})
    options = {"processes": False, "protocol": "tcp", "host": "127.0.0.1"}
    with (
        LocalCluster(n_workers=0, dashboard_address=":0", **options) as local,
        pytest.raises(ResourceError, match="no worker at all"),
    ):
        begin_on_scheduler(shared, "toy", local.scheduler_address)


def test_one_carrier_is_chosen_and_it_has_to_be_safe(tmp_path):
    given = ["submit", "encode", "--data", "m.toml", "--model", "m", "--subject", "A"]
    given += ["--store", str(tmp_path)]
    both = CliRunner().invoke(app, [*given, "--slurm", "--scheduler", "tls://node1:8786"])
    assert both.exit_code == 2 and "choose one" in both.output
    plain = CliRunner().invoke(app, [*given, "--scheduler", "tcp://node1:8786"])
    assert plain.exit_code == 1 and "not protected" in str(plain.exception)
