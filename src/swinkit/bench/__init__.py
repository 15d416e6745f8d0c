"""What `swin benchmark` and `swin compare` measure and count."""
