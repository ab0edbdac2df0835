"""What holds for all tests."""

from __future__ import annotations

import signal

# A suite that is started in the background of a shell inherits an ignored SIGINT, and so would the commands it starts;
# how they take Ctrl-C is what some tests are about.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
