"""A fit of one problem as a table to read."""

from collections.abc import Sequence

from fastnat._arrays import check_level
from fastnat.result import FitResult, Status


def table(fit: FitResult, names: Sequence[str], level: float) -> str:
    """Estimates by name, standard errors and intervals, and what the fit is like."""
    check_level(level)
    head = f"{type(fit).__name__}: {Status(int(fit.status)).name.lower()}, nobs = {fit.nobs:g}"
    lines = [f"{head}, log-likelihood = {fit.loglik:.10g}"]
    errors = fit.cov_type is not None
    columns = ["", "estimate"]
    if errors:
        percent = f"{100.0 * level:g} %"
        columns += ["std. error", f"lower {percent}", f"upper {percent}"]
    width = max(10, *(len(name) for name in names))
    lines.append(columns[0].ljust(width) + "".join(c.rjust(14) for c in columns[1:]))
    ends = fit.conf_int(level) if errors else None
    for j, name in enumerate(names):
        cells = [fit.params[j]]
        if ends is not None:
            cells += [fit.stderr[j], *ends[j]]
        lines.append(name.ljust(width) + "".join(f"{cell:14.6g}" for cell in cells))
    if errors:
        lines.append(f"covariance: {fit.cov_type}")
    if not fit.success:
        lines.append(fit.message)
    return "\n".join(lines)
