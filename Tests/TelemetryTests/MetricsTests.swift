import Testing

@testable import Telemetry

@Suite struct MetricsTests {
  @Test func instrumentsReadWhatWasDone() throws {
    let metrics = Metrics()
    let counter = metrics.counter("things_total", "Things.")
    counter.increment()
    counter.increment(by: 2.5)
    counter.increment(by: 3)
    let mirror = metrics.counter("mirror_total", "Counted elsewhere.")
    mirror.advance(to: 7)
    mirror.advance(to: 5)
    let gauge = metrics.gauge("level", "Level.")
    gauge.set(10)
    gauge.add(-12.5)
    let read = try PrometheusParser(metrics.text())
    #expect(read.value("things_total") == 6.5)
    #expect(read.value("mirror_total") == 7)
    #expect(read.value("level") == -2.5)
  }

  @Test func histogramsAreCumulativeAndBordersInclusive() throws {
    let metrics = Metrics()
    let seconds = metrics.histogram("seconds", "Seconds.", buckets: [0.1, 1, 10])
    for value in [0.05, 0.1, 0.5, 1, 10, 11, .nan] { seconds.observe(value) }
    let read = try PrometheusParser(metrics.text())
    let buckets = ["0.1", "1", "10", "+Inf"].map { read.value("seconds_bucket", ["le": $0]) }
    #expect(buckets == [2, 4, 5, 7])
    #expect(read.value("seconds_count") == 7)
    #expect(read.value("seconds_sum")?.isNaN == true)
  }

  @Test func theSameNameIsTheSameInstrument() {
    let metrics = Metrics()
    metrics.counter("a_total", "A.").increment()
    #expect(metrics.counter("a_total", "A.").value == 1)
    let labelled = metrics.counter("b_total", "B.", labels: ["kind"])
    labelled("x").increment()
    #expect(metrics.counter("b_total", "B.", labels: ["kind"])("x").value == 1)
    #expect(metrics.descriptions.map(\.name) == ["a_total", "b_total"])
  }

  @Test func labelValuesAreBounded() throws {
    let metrics = Metrics()
    let counter = metrics.counter("many_total", "Many.", labels: ["name"], limit: 10)
    for index in 0..<1000 { counter("\(index)").increment() }
    let read = try PrometheusParser(metrics.text())
    let samples = read.families["many_total"]?.samples ?? []
    #expect(samples.count == 10)
    #expect(samples.reduce(0) { $0 + $1.value } == 1000)
    #expect(read.value("many_total", ["name": "other"]) == 991)
    // Who asks for the rest by name gets it, and it takes one place.
    let gauge = metrics.gauge("few", "Few.", labels: ["name"], limit: 2)
    gauge("other").set(1)
    gauge("one").set(2)
    gauge("two").set(3)
    let again = try PrometheusParser(metrics.text())
    #expect(again.value("few", ["name": "one"]) == 2)
    #expect(again.value("few", ["name": "other"]) == 3)
  }

  @Test func preparedLabelsReadZero() throws {
    let metrics = Metrics()
    metrics.gauge("tasks", "Tasks.", labels: ["state"]).prepare(["ready", "done"])
    let read = try PrometheusParser(metrics.text())
    #expect(read.value("tasks", ["state": "ready"]) == 0)
    #expect(read.value("tasks", ["state": "done"]) == 0)
  }

  /// Everything that could break a line or a quote, in texts and in label values, comes back as it was.
  @Test func escapesComeBack() throws {
    let nasty = "back\\slash \"quoted\" line\nfeed \r\n carriage\r tab\t é \u{1F600} \\n {a=\"b\"} # HELP"
    let metrics = Metrics()
    metrics.gauge("nasty", nasty, labels: ["a", "b"])(nasty, "").set(1)
    let read = try PrometheusParser(metrics.text())
    #expect(read.families["nasty"]?.help.unicodeScalars.elementsEqual(nasty.unicodeScalars) == true)
    #expect(read.value("nasty", ["a": nasty, "b": ""]) == 1)
  }

  @Test func numbersReadBackTheSame() throws {
    let values = [
      0, -0.0, 1, -1, 0.1, 1e-7, .leastNonzeroMagnitude, 1.7976931348623157e308, 9007199254740991, 9007199254740992,
      1e15, 123456.789,
      .infinity, -.infinity, .pi,
    ]
    for value in values {
      let metrics = Metrics()
      metrics.gauge("value", "Value.").set(value)
      #expect(try PrometheusParser(metrics.text()).value("value") == value)
    }
    #expect(PrometheusText.number(.nan) == "NaN")
    #expect(PrometheusText.number(3) == "3")
  }

  @Test func theWholeTextIsFixed() {
    let metrics = Metrics()
    metrics.counter("steerscope_b_total", "Beta.").increment(by: 2)
    metrics.histogram("steerscope_a_seconds", "Alpha.", buckets: [0.5], labels: ["kind"])("x").observe(0.25)
    #expect(
      metrics.text() == """
        # HELP steerscope_a_seconds Alpha.
        # TYPE steerscope_a_seconds histogram
        steerscope_a_seconds_bucket{kind="x",le="0.5"} 1
        steerscope_a_seconds_bucket{kind="x",le="+Inf"} 1
        steerscope_a_seconds_sum{kind="x"} 0.25
        steerscope_a_seconds_count{kind="x"} 1
        # HELP steerscope_b_total Beta.
        # TYPE steerscope_b_total counter
        steerscope_b_total 2

        """)
  }

  @Test func namesFollowTheDataModel() {
    for name in ["a", "A_b:c9", "_x", ":y"] { #expect(MetricNames.isMetricName(name)) }
    for name in ["", "9a", "a-b", "a b", "é", "a\n"] { #expect(!MetricNames.isMetricName(name)) }
    for name in ["__a", "a:b", "", "1"] { #expect(!MetricNames.isLabelName(name)) }
    for name in ["le", "_a", "kind2"] { #expect(MetricNames.isLabelName(name)) }
  }

  @Test func countingFromManyThreadsLosesNothing() async throws {
    let metrics = Metrics()
    let counter = metrics.counter("all_total", "All.")
    let sizes = metrics.histogram("sizes", "Sizes.", buckets: [1, 2])
    let labelled = metrics.counter("some_total", "Some.", labels: ["who"])
    await withTaskGroup { group in
      for worker in 0..<8 {
        group.addTask {
          for index in 0..<2000 {
            counter.increment()
            sizes.observe(Double(index % 3))
            labelled("\(worker % 2)").increment()
          }
        }
      }
    }
    let read = try PrometheusParser(metrics.text())
    #expect(read.value("all_total") == 16_000)
    #expect(read.value("sizes_count") == 16_000)
    #expect(read.value("some_total", ["who": "0"]) == 8000)
  }

  @Test func whatIsLookedUpIsLookedUpBeforeReading() throws {
    let metrics = Metrics()
    ProcessMetrics.add(to: metrics)
    let read = try PrometheusParser(metrics.text())
    #expect((read.value("process_resident_memory_bytes") ?? 0) > 1e6)
    #expect((read.value("process_open_fds") ?? 0) >= 3)
    #expect((read.value("process_start_time_seconds") ?? 0) > 1.7e9)
    #expect(read.families["process_cpu_seconds_total"]?.type == "counter")
    #expect((read.value("process_cpu_seconds_total") ?? 0) > 0)
  }

  /// A parser that takes anything would prove nothing.
  @Test(arguments: [
    "a 1\n", "# HELP a A.\na 1\n", "# HELP a A.\n# TYPE a gauge\na 1", "# HELP a A.\n# TYPE a gauge\na  1\n",
    "# HELP a A.\n# TYPE a gauge\nb 1\n", "# HELP a A.\n# TYPE a gauge\na{x=\"\\q\"} 1\n",
    "# HELP a A.\n# TYPE a gauge\na 1\na 2\n", "# HELP a A.\n# TYPE a counter\na -1\n",
    "# HELP a A.\n# TYPE a gauge\na inf\n", "# HELP a A.\n# TYPE a gauge\na{x=\"1\",} 1\n",
    "# HELP a A.\n# TYPE a histogram\na_bucket{le=\"1\"} 1\na_sum 1\na_count 1\n",
    "# HELP a A.\n# TYPE a histogram\na_bucket{le=\"1\"} 2\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 1\n",
  ])
  func theParserIsStrict(text: String) {
    #expect(throws: PrometheusParser.Malformed.self) { try PrometheusParser(text) }
  }
}
