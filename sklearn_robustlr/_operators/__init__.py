"""What <A_i, X> is and what it costs: dense, sparse, rank-one, entries; tangent spaces; units."""
