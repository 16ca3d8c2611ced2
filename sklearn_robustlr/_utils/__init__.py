"""Basics of every stage: small linear algebra, robust statistics, shared rules and values, threads, checkpoint."""
