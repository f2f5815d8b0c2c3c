"""What the same tokens would cost on other routes and at other prices: of a ledger, or of a stated mix."""
