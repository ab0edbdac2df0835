"""The standard streams, which may be closed, full, or read by nobody: no exit code may depend on them."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

_MODES = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def open_standard_streams() -> None:
    """Opens what the caller has closed (``>&-``) on the null device.

    Otherwise a file or a connection that is opened later would have the number of standard output, and what is printed
    there, by a child process too, would go into it.
    """
    for descriptor, (name, mode) in enumerate(_MODES):
        try:
            os.fstat(descriptor)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != descriptor:
                os.dup2(null, descriptor)
                os.close(null)
            os.set_inheritable(descriptor, True)
        if getattr(sys, name) is None:
            # Not on the number itself: something else may have got it before this was called.
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def output_is_broken() -> bool:
    """Whether standard output cannot be written to, which only an attempt shows: it ends a line."""
    try:
        print(flush=True)
    except OSError:
        return True
    return False


def leave(code: int) -> None:
    """Ends the process with the exit code, whatever has become of its output.

    Its reader may have had enough, or its disk may be full; what could not be written then would replace the code.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            with suppress(OSError, ValueError, AttributeError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    raise SystemExit(code)
