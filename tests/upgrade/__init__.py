"""Data directories of earlier programs, kept as recipes: what they are made from is written here, not stored as a blob."""
