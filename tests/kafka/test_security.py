"""TLS and SASL on a real broker, with settings from the configuration file, the environment and a secret."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from confluent_kafka import Producer

from headrace import Flow, Worker, flow
from headrace.connectors.kafka import KafkaBroker
from headrace.connectors.local_kafka import LocalKafka, LocalKafkaSettings, configuration, server
from headrace.connectors.local_kafka.ports import free_port
from headrace.runtime.contracts.broker import NewTopic
from headrace.runtime.errors import BrokerUnavailableError
from headrace.runtime.settings import load_settings

pytestmark = pytest.mark.kafka

PASSWORD = "a-password-that-nobody-may-see"
WAIT_S = 60.0


class Secure(NamedTuple):
    """A broker with a listener that asks for TLS and a password, beside its plain one."""

    kafka: LocalKafka
    address: str
    certificate: Path


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    folder = tmp_path_factory.mktemp("tls")
    certificate = make_certificate(folder)
    port = free_port()
    plain = configuration.server_properties

    def with_secure_listener(**given: Any) -> str:
        own = f"PLAINTEXT://127.0.0.1:{given['port']}"
        return plain(**given) + (
            f"listeners={own},CONTROLLER://127.0.0.1:{given['controller_port']},SECURE://127.0.0.1:{port}\n"
            f"advertised.listeners={own},SECURE://localhost:{port}\n"
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL\n"
            "sasl.enabled.mechanisms=PLAIN\n"
            "listener.name.secure.plain.sasl.jaas.config="
            "org.apache.kafka.common.security.plain.PlainLoginModule required "
            f'user_flows="{PASSWORD}";\n'
            f"ssl.keystore.location={folder / 'keys.p12'}\nssl.keystore.type=PKCS12\n"
            "ssl.keystore.password=changeit\nssl.key.password=changeit\n"
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "server_properties", with_secure_listener)
        with LocalKafka(LocalKafkaSettings(start_timeout_s=180)) as kafka:
            yield Secure(kafka, f"localhost:{port}", certificate)


def make_certificate(folder: Path) -> Path:
    """A key of its own for `localhost`, with the tool that every Java brings."""
    home = os.environ.get("JAVA_HOME")
    java = Path(home) / "bin" / "java" if home else Path(str(shutil.which("java"))).resolve()
    keytool, keys = str(java.with_name("keytool")), ("-keystore", str(folder / "keys.p12"))
    common = ("-storetype", "PKCS12", "-storepass", "changeit", "-alias", "localhost")
    make = ("-genkeypair", "-keyalg", "RSA", "-dname", "CN=localhost", "-ext", "san=dns:localhost")
    subprocess.run([keytool, *make, *keys, *common], check=True, capture_output=True)
    export = [keytool, "-exportcert", "-rfc", *keys, *common]
    text = subprocess.run(export, check=True, capture_output=True).stdout
    certificate = folder / "localhost.pem"
    certificate.write_bytes(text)
    return certificate


def configured(secure: Secure, folder: Path) -> Path:
    """A configuration file whose password is a secret."""
    config = folder / "headrace.yaml"
    config.write_text(
        f"brokers: {secure.address}\n"
        "client:\n"
        "  security.protocol: sasl_ssl\n"
        "  sasl.mechanism: PLAIN\n"
        "  sasl.username: flows\n"
        "  sasl.password: ${secret.KAFKA_PASSWORD}\n"
        f"  ssl.ca.location: {secure.certificate}\n"
    )
    return config


def copying(secure: Secure) -> Flow:
    """A flow between two topics with a record in the first."""
    admin = KafkaBroker(secure.kafka.brokers).admin()
    admin.create([NewTopic(name="in", partitions=1), NewTopic(name="out", partitions=1)])
    admin.close()
    producer = Producer({"bootstrap.servers": secure.kafka.brokers})
    producer.produce("in", b'{"n": 1}')
    assert producer.flush(30) == 0
    made = flow("secured")
    made.kafka("in", topics="in").publish("out", topic="out")
    return made.build()


def test_a_flow_runs_over_tls_with_a_password_from_a_secret(
    secure: Secure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = copying(secure)
    monkeypatch.setenv("HEADRACE_SECRET_KAFKA_PASSWORD", PASSWORD)
    settings = load_settings({"state_dir": tmp_path / "state"}, configured(secure, tmp_path))

    async def once() -> int:
        async with Worker(made, settings=settings) as worker, asyncio.timeout(WAIT_S):
            while not worker.statistics().records_read or not worker.statistics().commits:
                await asyncio.sleep(0.02)
        return sum(worker.statistics().written.values())

    assert asyncio.run(once()) >= 1
    assert PASSWORD not in repr(settings)


def test_a_wrong_password_is_an_error_that_says_so_and_shows_no_password(
    secure: Secure,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    made = copying(secure)
    monkeypatch.setenv("HEADRACE_SECRET_KAFKA_PASSWORD", "unused")
    monkeypatch.setenv("HEADRACE_CLIENT_SASL_PASSWORD", f"not-{PASSWORD}")
    settings = load_settings({"state_dir": tmp_path / "state"}, configured(secure, tmp_path))

    async def once() -> None:
        async with Worker(made, settings=settings):
            pass

    with pytest.raises(BrokerUnavailableError, match=r"(?i)authentication"):
        asyncio.run(once())
    assert PASSWORD not in caplog.text
