"""Helpers as parts of kernels: compiled without what only an entry point needs.

Numba makes machine code of every function that it compiles, with a wrapper for calls from Python,
after having optimised it together with all that it calls.  Of a helper nothing of that is used:
LLVM inlines it into kernels and optimises those.  Without it a kernel compiles in about half of
the time.
"""

from typing import Any

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import AnalysisPass, register_pass
from numba.core.typed_passes import AnnotateTypes

from fastnat.kernels._stop import leave_if_stopped


class _NoEnvironments:
    """What a library is asked for when its machine code is there."""

    @staticmethod
    def set_env(name: str, env: Any) -> None:
        """There is no machine code whose environment could be set."""


class _PartLibrary(JITCodeLibrary):  # type: ignore[misc]
    """LLVM code that waits for being linked into that of a kernel."""

    codegen = _NoEnvironments

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True


@register_pass(mutates_CFG=False, analysis_only=True)
class _IntoPart(AnalysisPass):  # type: ignore[misc]
    """Have the function lowered into a `_PartLibrary`."""

    _name = "fastnat_into_part"

    def __init__(self) -> None:
        AnalysisPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        leave_if_stopped()
        state.library = _PartLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        return False


class PartCompiler(CompilerBase):  # type: ignore[misc]
    """Numba's pipeline with that pass."""

    def define_pipelines(self) -> list[Any]:
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.add_pass_after(_IntoPart, AnnotateTypes)
        passes.finalize()
        return [passes]
