"""The session protocol: schema, HTTP server, session, descriptions of what a query asks for."""
