"""The tables that every package shares, and the way from Labelme files to them and back."""
