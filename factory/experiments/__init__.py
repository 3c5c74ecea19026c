"""What each kind of data is worth: arms × folds × seeds, each a training and the errors of its mattes."""
