"""What was asked: the study file, read into frozen types, and the published ranges that priors start from."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
