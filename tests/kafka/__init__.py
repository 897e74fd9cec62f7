"""Apache Kafka itself, as the second broker that the tests run on."""
