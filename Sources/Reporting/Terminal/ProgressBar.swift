/// Progress as text: a bar that is drawn over itself on a terminal, plain lines elsewhere.
package enum ProgressBar {
  /// Two lines for a terminal, neither wider than `width` columns: the bar, and what runs now.
  ///
  /// - Parameter color: false where `NO_COLOR` is set.
  package static func lines(_ state: ProgressState, width: Int, color: Bool) -> [String] {
    let width = max(width, 20)
    let tail = facts(state).joined(separator: "  ")
    let room = min(max(width - DisplayWidth.of(tail) - 3, 0), 40)
    var first = DisplayWidth.cut(tail, to: width)
    if room >= 8 {
      let share = fraction(state)
      let filled = Int((share * Double(room)).rounded(.down))
      let bar = String(repeating: "█", count: filled)
      let rest = String(repeating: "░", count: room - filled)
      first = color ? "\u{1B}[32m\(bar)\u{1B}[2m\(rest)\u{1B}[0m  \(tail)" : "\(bar)\(rest)  \(tail)"
    }
    return [first, now(state, width: width, color: color)]
  }

  /// Text that draws `lines` in the place of as many lines as were drawn before: the cursor goes back up over `previous` lines.
  /// With no lines, it wipes what was there.
  package static func redraw(_ lines: [String], over previous: Int) -> String {
    var text = previous > 0 ? "\r\u{1B}[\(previous)A" : "\r"
    for line in lines { text += "\u{1B}[2K\(line)\n" }
    return text + "\u{1B}[J"
  }

  /// A line for a log: no colour, no control characters.
  package static func plainLine(_ state: ProgressState) -> String {
    var parts = facts(state)
    parts[0] = "progress: " + parts[0]
    if let running = state.running.first {
      parts.append("now: \(visible(running.title)) \(percent(running.fraction))")
    }
    return parts.joined(separator: ", ")
  }

  /// `evaluate 12/40`, `52 %`, the rate, the time left, what failed.
  private static func facts(_ state: ProgressState) -> [String] {
    var facts = ["\(Figure.count(state.done))/\(Figure.count(state.total)) tasks (\(percent(fraction(state))))"]
    if let current = state.current {
      facts.append("\(visible(current.name)) \(Figure.count(current.done))/\(Figure.count(current.total))")
    }
    if let rate = state.tasksPerMinute { facts.append("\(Figure.significant(rate, 2))/min") }
    if state.done < state.total {
      if let left = state.secondsLeft { facts.append("\(Figure.duration(left)) left") }
    } else {
      facts.append("in \(Figure.duration(state.elapsed))")
    }
    if state.parked > 0 { facts.append("\(Figure.count(state.parked)) failed") }
    return facts
  }

  private static func now(_ state: ProgressState, width: Int, color: Bool) -> String {
    guard let running = state.running.first else { return "" }
    let more = state.running.count > 1 ? " and \(state.running.count - 1) more" : ""
    let end = " \(percent(running.fraction))\(more)"
    let title = DisplayWidth.cut(visible(running.title), to: max(width - DisplayWidth.of(end), 8))
    let line = DisplayWidth.cut(title + end, to: width)
    return color ? "\u{1B}[2m\(line)\u{1B}[0m" : line
  }

  /// Done tasks with the running ones' fractions, over all.
  private static func fraction(_ state: ProgressState) -> Double {
    guard state.total > 0 else { return 0 }
    let running = state.running.reduce(0) { $0 + min(max($1.fraction.isFinite ? $1.fraction : 0, 0), 1) }
    return min((Double(state.done) + running) / Double(state.total), 1)
  }

  /// Rounded down, so that 100 % is all.
  private static func percent(_ share: Double) -> String {
    let share = share.isFinite ? min(max(share, 0), 1) : 0
    return "\(Int((share * 100 + 1e-9).rounded(.down))) %"
  }
}
