import Telemetry
import Testing

@Suite struct MetricsTests {}
