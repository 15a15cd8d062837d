"""Made companies with known truth, for tests and benchmarks; nothing of the product imports it."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
