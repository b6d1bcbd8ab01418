"""InceptionV3 features of photographs: 64 positions of 2,048 values each."""
