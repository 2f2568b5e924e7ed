"""The session protocol: the schema, the HTTP server, the program that a Dagger SDK starts."""
