"""Where media come from: one module or folder a kind of source, behind `connectors.base`."""
