"""The gray pool: how much of the traffic an unproven model may have, and which (SPEC section 5.1). Pure."""
