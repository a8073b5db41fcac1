"""How long work is done: device, progress, checkpoints."""
