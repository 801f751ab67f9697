"""The certificate that a balancer is to serve with is looked at on this computer."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from nbops.nocobase.cluster import cluster_of
from nbops.nocobase.steps.preflight import certificate_findings

Variables = Callable[..., Mapping[str, Any]]
TLS = {"kind": "nginx", "port": 443, "tls": {"certificate": "cert.pem", "key": "key.pem"}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make(tmp_path, "key.pem", "cert.pem", days=90)
    return tmp_path


def make(folder: Path, key: str, certificate: str, days: int) -> None:
    new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    out = ["-keyout", str(folder / key), "-out", str(folder / certificate)]
    rest = ["-days", str(days), "-subj", "/CN=nocobase.example"]
    subprocess.run(["openssl", *new, *out, *rest], check=True, capture_output=True)
    (folder / key).chmod(0o600)


def found(variables: Variables, folder: Path, host: str = "lb") -> list[str]:
    there = {**variables(host, balancer=TLS), "inventory_dir": str(folder)}
    return [f"{one.level}: {one}" for one in certificate_findings(cluster_of(there), there)]


def test_a_key_that_fits_is_no_finding(variables: Variables, folder: Path) -> None:
    assert found(variables, folder) == []


def test_a_certificate_that_ends_soon_is_warned_of(variables: Variables, folder: Path) -> None:
    make(folder, "key.pem", "cert.pem", days=5)
    (finding,) = found(variables, folder)
    assert finding.startswith("warning: the certificate (balancer.tls) ends on ")
    assert "renew it" in finding


def test_another_key_is_a_problem_of_the_balancer_alone(variables: Variables, folder: Path) -> None:
    make(folder, "key.pem", "other.pem", days=90)
    (finding,) = found(variables, folder)
    assert finding.startswith("problem: balancer.tls: the key is not that of the certificate")
    assert found(variables, folder, "node1") == []


def test_a_file_that_is_gone_or_open_to_all_is_a_problem(
    variables: Variables, folder: Path
) -> None:
    (folder / "key.pem").chmod(0o644)
    (finding,) = found(variables, folder)
    assert "`chmod 600" in finding
    (folder / "cert.pem").unlink()
    (finding,) = found(variables, folder)
    assert "balancer.tls.certificate" in finding
