"""The vocabulary: four hierarchies of category layers, sub-categories and items, from one declarative file."""

from igsm_pipeline.world.world import Hierarchy, Layer, Subcategory, World, load_world

__all__ = ["Hierarchy", "Layer", "Subcategory", "World", "load_world"]
