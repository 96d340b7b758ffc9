"""Training: generated plans, fine-tuning on annotated ones, and honest evaluation. The rest never imports it."""
