"""Monte Carlo forecasts of leads, customers and revenue, and the budget that serves them best.

The names below load the module behind them when they are first used (PEP 562), so `import forecast` costs
nothing. None of them is also the name of a module: `forecast.audit` is always the module, `audit_history` the
function in it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the same table for type checkers and editors
    from forecast.audit import audit as audit_history
    from forecast.backtest import run_backtest
    from forecast.errors import DataError, FitError, ForecastError, GateError, StudyError, UsageError
    from forecast.funnel import Funnel, funnel_value
    from forecast.history import History
    from forecast.instant import instant_posterior
    from forecast.planning import fit_posterior, forecast_plan
    from forecast.posterior import load as load_posterior
    from forecast.posterior import save as save_posterior
    from forecast.sources import read_history, read_plan
    from forecast.study import Study, load_study

__all__ = [
    "DataError",
    "FitError",
    "ForecastError",
    "Funnel",
    "GateError",
    "History",
    "Study",
    "StudyError",
    "UsageError",
    "audit_history",
    "fit_posterior",
    "forecast_plan",
    "funnel_value",
    "instant_posterior",
    "load_posterior",
    "load_study",
    "read_history",
    "read_plan",
    "run_backtest",
    "save_posterior",
]

__version__ = "0.1.0"

# name here -> (module, name there)
_LAZY: dict[str, tuple[str, str]] = {
    "DataError": ("errors", "DataError"),
    "FitError": ("errors", "FitError"),
    "ForecastError": ("errors", "ForecastError"),
    "Funnel": ("funnel", "Funnel"),
    "GateError": ("errors", "GateError"),
    "History": ("history", "History"),
    "Study": ("study", "Study"),
    "StudyError": ("errors", "StudyError"),
    "UsageError": ("errors", "UsageError"),
    "audit_history": ("audit", "audit"),
    "fit_posterior": ("planning", "fit_posterior"),
    "forecast_plan": ("planning", "forecast_plan"),
    "funnel_value": ("funnel", "funnel_value"),
    "instant_posterior": ("instant", "instant_posterior"),
    "load_posterior": ("posterior", "load"),
    "load_study": ("study", "load_study"),
    "read_history": ("sources", "read_history"),
    "read_plan": ("sources", "read_plan"),
    "run_backtest": ("backtest", "run_backtest"),
    "save_posterior": ("posterior", "save"),
}


def __getattr__(name: str) -> Any:
    """Load a name of the table above."""
    if name not in _LAZY:
        raise AttributeError(f"module 'forecast' has no attribute {name!r}")
    module, attribute = _LAZY[name]
    loaded = getattr(import_module(f"forecast.{module}"), attribute)
    globals()[name] = loaded
    return loaded


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    return sorted({*globals(), *_LAZY})
