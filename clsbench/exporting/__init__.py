"""From a trained network to a file that knows itself, proved equal to the network."""
