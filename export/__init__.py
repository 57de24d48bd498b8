"""From a model to what TF Serving loads."""
