/// The numbers of a process that others may watch, as Prometheus reads them.
package final class Metrics: Sendable {
  package init() {}
}
