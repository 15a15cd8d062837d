from .backtest import run_backtest as run_backtest
from .budget import Decision as Decision
from .errors import DataError as DataError
from .errors import FitError as FitError
from .errors import ForecastError as ForecastError
from .errors import GateError as GateError
from .errors import StudyError as StudyError
from .errors import UsageError as UsageError
from .fit import Posterior as Posterior
from .fit import fit_posterior as fit_posterior
from .fit import load_posterior as load_posterior
from .fit import preview as preview
from .fit import save_posterior as save_posterior
from .funnel import Funnel as Funnel
from .funnel import funnel_value as funnel_value
from .history import History as History
from .history import audit_history as audit_history
from .history import read_history as read_history
from .history import read_plan as read_plan
from .outlook import Case as Case
from .planning import Forecast as Forecast
from .planning import compare as compare
from .planning import forecast as forecast
from .study import Study as Study
from .study import load_study as load_study

__version__: str
