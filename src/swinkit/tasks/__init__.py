"""What a Swin is used for: each task joins core, a head, data and results."""
