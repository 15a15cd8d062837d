"""What will come: the funnel run forward, by draws and in expectation, and what levers and customers bring."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
