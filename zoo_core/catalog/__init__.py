"""Names: families from plugins' manifests, variants and presets from TOML. Nothing heavy is imported."""

from zoo_core.catalog.catalog import Catalog, Family, Preset, Variant, open_catalog

__all__ = ["Catalog", "Family", "Preset", "Variant", "open_catalog"]
