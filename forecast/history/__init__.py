"""What was seen: files read and validated into a history, and what an audit makes of it."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
