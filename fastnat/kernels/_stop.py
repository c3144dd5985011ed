"""Work that nobody waits for any more: whoever does it asks, and ends early.

Kernels ask in every pass over the data of a long problem (`stopped`), the compiler between
functions (`leave_if_stopped`).  What an early end leaves in the output is for nobody to read.

Compiled code asks by symbols that are linked when it is compiled, or loaded from a cache: one
reads the number of runs that are being stopped, nearly always 0; only beside such a run the other
one is called, which takes a microsecond and says whether this thread works for it.
"""

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from llvmlite import binding, ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

_FLAG, _ASK = "fastnat_stops", "fastnat_ask_whether_stopped"
_WORD = ir.IntType(64)

_here = threading.local()
_stopping: set[threading.Event] = set()
_n_stopping = ctypes.c_int64(0)


class Stopped(BaseException):
    """The end of work that nobody waits for."""


@contextmanager
def serving(stop: threading.Event) -> Iterator[None]:
    """What this thread does is in vain once the event is set."""
    before = getattr(_here, "stop", None)
    _here.stop = stop
    try:
        yield
    finally:
        _here.stop = before


def begin(stop: threading.Event) -> None:
    """Have all threads that serve this event end early."""
    stop.set()
    _stopping.add(stop)
    _n_stopping.value = len(_stopping)


def end(stop: threading.Event) -> None:
    """They have ended, if they were to."""
    _stopping.discard(stop)
    _n_stopping.value = len(_stopping)


def leave_if_stopped() -> None:
    """Raise `Stopped` if nobody waits for what this thread does."""
    if _is_stopped():
        raise Stopped


def _is_stopped() -> bool:
    stop = getattr(_here, "stop", None)
    return stop is not None and stop.is_set()


if config.DISABLE_JIT:
    stopped = _is_stopped

else:
    _ask = ctypes.CFUNCTYPE(ctypes.c_int64)(_is_stopped)
    binding.add_symbol(_FLAG, ctypes.addressof(_n_stopping))
    binding.add_symbol(_ASK, ctypes.cast(_ask, ctypes.c_void_p).value)

    @intrinsic
    def stopped(typing):  # type: ignore[no-untyped-def]
        """Whether nobody waits for what this thread does."""

        def emit(context, builder, signature, args):  # type: ignore[no-untyped-def]
            module = builder.module
            flag = module.globals.get(_FLAG) or ir.GlobalVariable(module, _WORD, _FLAG)
            ask = cgutils.get_or_insert_function(module, ir.FunctionType(_WORD, ()), _ASK)
            # Atomic, or LLVM would read it once before a loop.
            number = builder.load_atomic(flag, "monotonic", align=8)
            answer = cgutils.alloca_once_value(builder, _WORD(0))
            with cgutils.if_unlikely(builder, builder.icmp_signed("!=", number, _WORD(0))):
                builder.store(builder.call(ask, ()), answer)
            return builder.icmp_signed("!=", builder.load(answer), _WORD(0))

        return types.boolean(), emit
