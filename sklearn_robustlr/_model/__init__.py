"""The Bayesian low-rank model of a matrix: noise law, prior, posterior of rows and columns, several laws averaged."""
