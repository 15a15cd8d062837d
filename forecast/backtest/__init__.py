"""Forecasts of the past beside what came: origins, scores, baselines, and where a miss came from."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
