"""Pictures for people: figures, charts and sheets."""
