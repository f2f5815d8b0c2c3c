"""The tier `laptop`: this machine's own sidecar and gateway, and the guard that stops the model before it is felt."""
