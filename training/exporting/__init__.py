"""Export of trained models: SavedModels, LiteRT and ONNX files, servers."""
