"""What people hold: pages, figures, PDF, workbook, files and terminal text; the only folder that draws."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
