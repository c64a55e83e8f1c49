"""What connectors in Python share: settings, failures, one HTTP request and its answer."""
