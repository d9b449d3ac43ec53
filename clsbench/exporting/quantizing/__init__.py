"""int8 within a measured budget: ranges from training images, float where needed, proved before written."""
