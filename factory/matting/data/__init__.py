"""What a matting network is trained on: stored mattes on random backgrounds, with trimaps."""
