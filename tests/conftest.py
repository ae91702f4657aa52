"""What every test may count on."""

import resource
import signal
from collections.abc import Generator

import pytest

# A shell that starts a job in the background has it ignore Ctrl-C, and its children with it; the tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    """Take back what a test did to the size that files may have, before pytest writes its result into one."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        return (yield)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
