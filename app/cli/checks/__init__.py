"""What ``neumo doctor`` looks at: settings, machine, model, places. Each check returns findings."""
