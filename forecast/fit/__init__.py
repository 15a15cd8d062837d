"""What the data teach: the models, their sampling and their closed form; the only folder that loads a sampler."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
