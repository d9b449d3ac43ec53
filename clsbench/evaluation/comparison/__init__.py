"""Models compared on the same images: two in detail, three or more ranked."""
