"""What a candidate must fulfil before it goes live."""
