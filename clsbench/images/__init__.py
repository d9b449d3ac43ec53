"""Where images come from, how they are decoded and resized; Pillow is the reference."""
