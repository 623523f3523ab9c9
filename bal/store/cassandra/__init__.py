"""The Shared Customer Database on Apache Cassandra."""
