from __future__ import annotations

from nbops.base.secret import MASK
from nbops.nocobase.files import names_only


def test_a_diff_of_secrets_shows_names_and_which_values_change() -> None:
    before, after = names_only("A=one\nB=two\nGONE=x\n", "A=one\nB=three=3\nNEW=y\n")
    assert before == f"A={MASK}\nB={MASK}\nGONE={MASK}\n"
    assert after == f"A={MASK}\nB={MASK} (another value)\nNEW={MASK}\n"


def test_a_file_that_was_not_there_has_no_names() -> None:
    assert names_only("", "A=1\n") == ("", f"A={MASK}\n")


def test_of_a_servers_settings_the_words_are_shown() -> None:
    before, after = names_only("", '# ours\nappendonly yes\nrequirepass "hunter2=x"\n')
    assert (before, after) == ("", f"appendonly {MASK}\nrequirepass {MASK}\n")


def test_of_a_private_key_nothing_is_shown() -> None:
    key = "-----BEGIN PRIVATE KEY-----\nMIIBVgIBADANBgkqh\nabcdEFGH==\n-----END PRIVATE KEY-----\n"
    assert names_only("A=1\n", key) == (f"A={MASK}\n", f"{MASK}\n")
    assert names_only(key, key + "more\n") == (f"{MASK}\n", f"{MASK} (another value)\n")
