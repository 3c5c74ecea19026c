"""Experiments: arms × seeds, each a training and what is measured of it. matting/ and painting/ say what that is."""
