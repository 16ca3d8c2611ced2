"""The scikit-learn shell: three estimators, what they share, validation, callbacks, html, memory estimate."""
