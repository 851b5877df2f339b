"""A backbone goes into the folder that optimum exported: checked, repaired, swapped in atomically, and taken out again."""

from graphfix.place.checks import Verdict
from graphfix.place.folder import COMPONENTS
from graphfix.place.run import Placement, place, undo

__all__ = ["COMPONENTS", "Placement", "Verdict", "place", "undo"]
