"""``graphfix build``: quantize, apply, validate and place in one resumable run.

`recipe` reads what is asked, `digests` tells whether a stage's inputs changed, `stages` holds the four stages, `run` carries them out.
"""

from graphfix.build.recipe import Recipe, read
from graphfix.build.run import Built, Outcome, build

__all__ = ["Built", "Outcome", "Recipe", "build", "read"]
