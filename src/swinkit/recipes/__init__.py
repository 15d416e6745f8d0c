"""Published recipes and presets: options of training, one YAML file each."""
