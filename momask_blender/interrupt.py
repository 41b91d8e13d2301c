"""Ctrl-C while Blender works. No bpy.

Blender and Cycles swallow Python's KeyboardInterrupt, or hear of it only when they are done.
"""

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

INTERRUPTED = 130  # exit status, as shells have it: 128 + SIGINT


@contextmanager
def ends_on_interrupt(clean_up: Callable[[], None]) -> Iterator[None]:
    """Within it Ctrl-C runs `clean_up` and ends the process, whatever the main thread is doing.

    A thread hears the signal through a socket that Python's C code writes to. Main thread only.
    Does nothing where somebody has already decided what Ctrl-C means, as `nohup` has.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    heard, told = socket.socketpair()
    told.setblocking(False)

    def listen() -> None:
        if heard.recv(1):  # nothing comes when the other end closes
            clean_up()
            os._exit(INTERRUPTED)

    listener = threading.Thread(target=listen, daemon=True)
    signal.signal(signal.SIGINT, lambda _signal, _frame: None)
    before = signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
    listener.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        told.close()
        listener.join()
        heard.close()
