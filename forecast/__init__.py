"""Monte Carlo forecasts of leads, customers and revenue, and the budget that serves them best.

The names of the stub beside this file load the module behind them when they are first used (PEP 562), so `import
forecast` costs nothing. None of them is also the name of a module or folder.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)

__version__ = "0.1.0"
