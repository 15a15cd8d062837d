from .record import FileRead as FileRead
from .record import LeftOut as LeftOut
from .record import Outcome as Outcome
