"""What chatapp is to bear, as figures with their bounds."""
