"""Money and policy of a front, carried out at the hooks of the relay. What is decided is fleet.traffic's, and pure."""
