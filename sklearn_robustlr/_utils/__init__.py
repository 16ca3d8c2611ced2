"""What every stage uses: small linear algebra, robust statistics, shared rules and values, threads, checkpoint."""
