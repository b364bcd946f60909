"""What a model costs: MACs, BitOPs, arena, and instructions estimated from tables measured on each core."""
