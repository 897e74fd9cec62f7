"""Kafka: events are written for good and read at least once.

Apache Kafka is the reference. The embedded broker differs in three ways that are answered here without asking less of
Kafka: its end offsets lag behind (the larger of fetched and asked counts), it is silent about a position beyond its log
(we look ourselves), and it forgets producers when it restarts (one that failed is replaced).
"""
