from __future__ import annotations

import base64

import pytest

from nbops.nocobase.databases.scram import fits, verifier

KEPT = (
    # Made by PostgreSQL 15.18 from CREATE ROLE … PASSWORD, read from pg_authid.
    (
        "pencil",
        "SCRAM-SHA-256$4096:100BQaQPDdblV0HrT3sdzw==$"
        "y9ysSmM5ltRMjX/+GfHBddvuIwGUvmp4jyv5ECJ1pBE=:Reihua4hDM8Pk31glCNSps9/syHZuPnjek0w5iZUA18=",
    ),
    (
        "pä$$ 'word'",
        "SCRAM-SHA-256$4096:/igSBaJDE4Q+ctdvEdIrmA==$"
        "BdMRCrzEhw7cnn0X92HZdAAO0Ie2L/fw5w616YzAufQ=:pFO6ETN7mF9e8LGpbFyuaSe49V3dP52ysX+0jGopAqw=",
    ),
    (
        "\u00adsoft\u2168",
        "SCRAM-SHA-256$4096:uhjJSzJlUx5iaynz2Xx6UA==$"
        "rn5IgegG4R2PVO9MUQns/brL/KoNa7nF47Ia5tGGokU=:vraM6a1smJuo6eHHVDFO/XNm0g0JRbszlZ+IN3Ohr5Y=",
    ),
    (
        "密码",
        "SCRAM-SHA-256$4096:qi8t+CiblDMWS/JPclXq/g==$"
        "DiNGdigaQaCA+xQhTzEHZg9Tz63nnbZdAPl3YD9ObUo=:/OIyN5yhpyEos6JYyKeTxgZRiCtNy8Pw0N9+xBxrHO4=",
    ),
)


@pytest.mark.parametrize(("password", "kept"), KEPT)
def test_a_verifier_is_what_postgresql_makes_of_the_same_password_and_salt(
    password: str, kept: str
) -> None:
    salt = base64.b64decode(kept.split("$")[1].split(":")[1])
    assert verifier(password, salt) == kept


@pytest.mark.parametrize("password", ["pencil", "", "pä$$ 'word'", "\u00adsoft", "ＡＢ", "密码"])
def test_a_verifier_fits_its_own_password_only(password: str) -> None:
    kept = verifier(password)
    assert fits(kept, password)
    assert not fits(kept, password + "x")


def test_two_verifiers_of_one_password_differ() -> None:
    assert verifier("pencil") != verifier("pencil")


@pytest.mark.parametrize("kept", ["", "md5aa", "pencil", "SCRAM-SHA-256$4096:salt"])
def test_other_forms_fit_nothing(kept: str) -> None:
    assert not fits(kept, "pencil")


def test_what_looks_equal_is_the_same_password() -> None:
    assert fits(verifier("ⅸ"), "ix")
