"""What stands in front of the routes, outermost first: envelope, cors, guard, gate."""
