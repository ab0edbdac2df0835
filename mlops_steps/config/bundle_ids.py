"""Names that users and templates give, checked before they become part of a URL or a file name."""

from __future__ import annotations

import re

from mlops_steps.errors import ConfigError

#: What `package` accepts, and what becomes part of URLs.
BUNDLE_ID = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"


def valid_bundle_id(text: str) -> str:
    """Returns the id if DSS takes it as a bundle id. Raises :class:`ConfigError`."""
    if not re.fullmatch(BUNDLE_ID, text) or ".." in text:
        raise ConfigError(
            f"{text[:120]!r} is not a bundle id: letters, digits, '.', '_' and '-', at most 100, beginning with a "
            "letter or digit"
        )
    return text
