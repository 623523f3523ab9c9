"""What one lane is made of: tickets, the open batch, anchoring and publishing. `bal.pipeline` puts them in order."""
