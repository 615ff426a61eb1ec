"""SavedModels: their signatures, model cards and other formats."""
