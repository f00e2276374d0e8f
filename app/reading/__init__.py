"""Reading: from the network's numbers to what is said. It knows no HTTP, no JSON, no language."""
