"""The credentials for a registry that a user has on the host, besides `--token`."""

from __future__ import annotations

from collections.abc import Callable

from ci.system.docker_config import find_login
from pipeline.registry.credentials import Credentials
from pipeline.rules.image_name import ImageName
from pipeline.rules.text import quoted


async def docker_credentials(image: ImageName, notice: Callable[[str], None]) -> Credentials | None:
    """Return the credentials for an image's registry from Docker's configuration, or None if it has none.

    Args:
        image: The image.
        notice: Called with what is used, and with what could not be.
    """
    search = await find_login(image.registry, image.repository)
    for problem in search.problems:
        notice(problem)
    if search.login is None:
        return None
    notice(f"Credentials for {image.registry}: user {quoted(search.login.username)} in {search.login.place}.")
    return Credentials(username=search.login.username, password=search.login.password)
