"""The surfaces of the gateway as pure values: what clients send and get, translated from and to OpenAI's chat."""
