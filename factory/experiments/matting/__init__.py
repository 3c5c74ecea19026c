"""What each kind of data is worth for a matting network: arms × folds × seeds, measured on real photographs."""
