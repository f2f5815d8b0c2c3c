"""Money: what was spent and promised, how much may be, and until when (SPEC section 5.5). Pure."""
