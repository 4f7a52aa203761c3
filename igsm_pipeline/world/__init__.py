"""The vocabulary: four hierarchies of category layers, sub-categories and items, from one declarative file.

world.py     a world and its places
rules.py     what names must be
settings.py  what its units depend on
stage.py     the stage as declared
write.py     the stage's code
"""

from igsm_pipeline.world.settings import WorldSettings
from igsm_pipeline.world.world import Hierarchy, Layer, Place, Subcategory, World, builtin_worlds, load_world, world_of

__all__ = ["Hierarchy", "Layer", "Place", "Subcategory", "World", "WorldSettings", "builtin_worlds", "load_world", "world_of"]
