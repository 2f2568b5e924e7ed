"""Runs credential helpers: programs named `docker-credential-NAME` that hold a user's logins at registries.

The protocol is described at https://github.com/docker/docker-credential-helpers: `get` reads the server's name on
standard input, and answers with a JSON object. Its output holds a secret, so no message here repeats any of it.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from ci.system.processes import OutputLimitError, run_process

IDENTITY_TOKEN_USER = "<token>"  # noqa: S105 # the user's name that marks an identity token
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SECONDS = 30.0
_MOST_OUTPUT = 64 * 1024
_NOT_FOUND = "credentials not found in native keychain"


class HelperError(Exception):
    """A helper is missing or failed; the message has nothing of its output."""


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    username: str = Field(alias="Username", min_length=1)
    secret: SecretStr = Field(alias="Secret", min_length=1)


@dataclass(frozen=True, slots=True)
class HelperLogin:
    """A login that a helper holds.

    Attributes:
        username: The user, or `IDENTITY_TOKEN_USER` if the secret is an identity token.
        secret: The password or token.
    """

    username: str
    secret: SecretStr


def helper_program(name: str) -> str:
    """Return the program of a helper."""
    return f"docker-credential-{name}"


async def ask_helper(name: str, server: str) -> HelperLogin | None:
    """Return the login that a helper holds for a server, or None if it has none.

    Args:
        name: The helper, as `credsStore` and `credHelpers` spell it.
        server: The server, as Docker spells it.

    Raises:
        HelperError: The helper is not installed, failed, did not end in time, or gave an invalid answer.
    """
    if _NAME.fullmatch(name) is None:
        msg = "the name of the credential helper is not valid"
        raise HelperError(msg)
    program = helper_program(name)
    # Raised outside of `except`: a cause could contain the output.
    reason = ""
    try:
        # With all variables: those of clouds take the keys from there.
        done = await run_process(
            [program, "get"],
            time_limit=_SECONDS,
            env=os.environ,
            stdin=server.encode(),
            output_limit=_MOST_OUTPUT,
        )
        if done.exit_code == 0:
            answer = _Answer.model_validate_json(done.stdout)
            return HelperLogin(answer.username, answer.secret)
        if _NOT_FOUND in done.stdout or _NOT_FOUND in done.stderr:
            return None
        reason = f"{program} failed with exit code {done.exit_code}"
    except FileNotFoundError:
        reason = f"{program} is not installed"
    except TimeoutError:
        reason = f"{program} did not end within {_SECONDS:.0f} s"
    except OSError as error:
        reason = f"{program} cannot be started: {type(error).__name__}"
    except (OutputLimitError, ValidationError):
        reason = f"the answer of {program} is not valid"
    raise HelperError(reason)
