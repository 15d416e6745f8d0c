"""What `swin compare` runs: models beside those that they are published with."""
