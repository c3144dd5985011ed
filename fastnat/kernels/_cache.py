"""Machine code on disk, for many processes at once, and wherever it can be read.

Numba gives files numbers, which an index remembers.  Of two processes that compile at the same
time, for other arguments or for another processor, both can take the same number; then the
index promises the code of one, and the file has that of the other, to be called with the wrong
arguments.  So here a file's name is a digest of all that its code was compiled for, and there is
no index.  A file that is not whole counts as none, and one that cannot be written is not.

Numba reads only where it can write.  Here code is read from the installed package too, so that
what was compiled when an image was built serves those who may not write there.
"""

import hashlib
import pickle
import sys
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps


class KernelCache(FunctionCache):  # type: ignore[misc]
    """What was compiled of one function, whose qualified name tells its source."""

    def __init__(self, function: Callable[..., Any]) -> None:
        # Numba's own refuses to be made where nothing can be written.
        source = Path(function.__code__.co_filename)
        self._py_func = function
        self._stem = f"{source.stem}.{function.__qualname__}"
        self._home: Path | None = None
        with suppress(RuntimeError):
            self._home = Path(CompileResultCacheImpl(function).locator.get_cache_path())
        read_only = [source.parent / "__pycache__"]
        if numba.config.CACHE_DIR:
            below = _CacheLocator.get_suitable_cache_subpath(source)
            read_only.insert(0, Path(numba.config.CACHE_DIR) / below)
        self._folders = [folder for folder in (self._home, *read_only) if folder is not None]

    @property
    def cache_path(self) -> str | None:
        return None if self._home is None else str(self._home)

    def flush(self) -> None:
        """Numba's word for forgetting what is on disk, before it compiles anew."""
        for folder in self._folders[: self._home is not None]:
            for path in folder.glob(f"{self._stem}.*.nbc"):
                path.unlink(missing_ok=True)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        target_context.refresh()
        key = self._index_key(sig, target_context.codegen())
        name = self._name_of(key)
        for folder in self._folders:
            with suppress(Exception):  # there is no file, or not a whole one
                known, code = pickle.loads((folder / name).read_bytes())  # noqa: S301
                if known == key:
                    return CompileResult._rebuild(target_context, *code)
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        if self._home is None or data.library.has_dynamic_globals:
            return
        key = self._index_key(sig, data.codegen)
        path = self._home / self._name_of(key)
        part = path.with_suffix(f".{uuid.uuid4().hex[:16]}.tmp")
        with suppress(OSError):  # the disk is full, or the directory is gone
            try:
                part.write_bytes(dumps((key, data._reduce())))
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)

    def _name_of(self, key: Any) -> str:
        python = sys.implementation.cache_tag
        digest = hashlib.sha256(repr((numba.__version__, key)).encode()).hexdigest()[:16]
        return f"{self._stem}.{python}.{digest}.nbc"
