"""Q3.I: a small convolutional network for the Grocery Store photos, from photo to figures."""
