"""The language of runbooks: model, loading with positions, expressions, lint."""
