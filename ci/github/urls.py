"""What may stand as a link's target.

Pure.
"""

from __future__ import annotations

import re

WEB_URL = re.compile(r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~/%-]*)?")
"""A web address without user, query and fragment, in characters that Markdown takes no syntax from."""
