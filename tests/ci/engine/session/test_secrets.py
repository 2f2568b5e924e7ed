from __future__ import annotations

from ci.engine.session.secrets import Secrets, SecretValue


def test_every_form_of_a_secret_is_masked() -> None:
    secrets = Secrets()
    secrets.keep("first-line\nsecond-line\n")
    secrets.keep("first-line-and-more")

    assert secrets.scrub("a first-line-and-more b") == "a *** b"
    assert secrets.scrub("a first-line b second-line c") == "a *** b *** c"


def test_a_key_tells_nothing_of_its_secret() -> None:
    one, other = Secrets(), Secrets()

    assert one.keep("hidden") == one.keep("hidden")
    assert one.keep("hidden") != other.keep("hidden")
    assert one.kept(one.keep("hidden")) == "hidden"
    assert "hidden" not in repr(SecretValue("name", "hidden"))
