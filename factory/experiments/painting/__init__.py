"""What each way to train a model that paints is worth: arms × rates × seeds, measured on what it paints."""
