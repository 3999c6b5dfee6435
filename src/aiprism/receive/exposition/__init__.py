"""The pages that scraped targets answer with: Prometheus' text format, OpenMetrics, protobuf."""
