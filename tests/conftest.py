"""What every test may count on."""

import signal

# A shell that starts a job in the background has it ignore Ctrl-C, and its children with it; the tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
