"""Monte Carlo forecasts of leads, customers and revenue, and the budget that serves them best.

The names of the stub beside this file load the module behind them when they are first used (PEP 562), so `import
forecast` costs nothing. None of them is also the name of a module or folder.
"""

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """A name of the stub; what loads them is itself loaded then, as a command hears Ctrl-C only after this file."""
    load, names = _face()
    return names if name == "__all__" else load(name)


def __dir__() -> list[str]:
    """The names of the stub."""
    return _face()[1]


def _face():  # type: ignore[no-untyped-def]  # types of functions are loaded with `typing`, which takes longest
    from lazy_loader import attach_stub

    load, listed, names = attach_stub(__name__, __file__)
    globals().update(__getattr__=load, __dir__=listed, __all__=names)
    return load, names
