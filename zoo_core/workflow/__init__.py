"""What the commands do, as calls: train, sample, evaluate."""
