"""nnU-Net v2 with its ignore label."""
