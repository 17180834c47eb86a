"""The site in operation: control loop, actions, audit, books, and the documents that show it."""
