"""How to divide the budget: response, limits, objectives, the solver, and what is certain about the result."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
