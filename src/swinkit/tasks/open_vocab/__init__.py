"""Open-vocabulary detection and contrastive models: queries, vocabularies, losses.

Text towers are in towers.
"""
