"""Which fit is returned and whether it is to be trusted: candidates, evidence, verdict, restarts."""
