package import Diagnostics
internal import Foundation
package import SweepRecords

/// Pairs of answers, one showing a behaviour and one not, to the same prompt (methods.md, section 1).
package struct ContrastSet: Sendable, Equatable {
  package struct Pair: Sendable, Equatable {
    /// What the user says; empty for free texts.
    package var prompt: String
    /// The answer that shows the behaviour; it follows the prompt directly.
    package var positive: String
    package var negative: String

    package init(prompt: String, positive: String, negative: String) {
      self.prompt = prompt
      self.positive = positive
      self.negative = negative
    }
  }

  /// What the file is called, in errors.
  package var name: String
  package var pairs: [Pair]

  /// The most pairs that a file may hold.
  static let limit = 1_000_000

  /// Reads a JSON list or JSON lines of {question, answer_matching_behavior, answer_not_matching_behavior},
  /// {prompt, positive, negative} or {positive, negative}. Other keys of an item are ignored (published sets carry labels).
  ///
  /// - Throws: `InputError` naming the item that is wrong.
  package init(json bytes: [UInt8], name: String) throws(InputError) {
    self.name = name
    let items = try ContrastSet.items(bytes, name)
    var pairs: [Pair] = []
    pairs.reserveCapacity(items.count)
    for (index, item) in items.enumerated() { pairs.append(try ContrastSet.pair(item, "\(name): item \(index)")) }
    guard !pairs.isEmpty, pairs.count <= ContrastSet.limit else {
      throw InputError(name, expected: "1 to \(ContrastSet.limit) pairs", found: "\(pairs.count)")
    }
    self.pairs = pairs
  }

  /// True when every answer is a choice's letter, such as `(A)`, ` (B)` or `A`: then only the letter is read and scored.
  package var hasLetterAnswers: Bool {
    pairs.allSatisfy { ContrastSet.letter(of: $0.positive) != nil && ContrastSet.letter(of: $0.negative) != nil }
  }

  /// Where an extraction reads by default: at the letter for letter answers, else over the answer (methods.md, section 1).
  package var defaultRead: ReadPosition { hasLetterAnswers ? .firstDifference : .answerMean }

  /// The letter of an answer that is one: `(A)` is `A`; nil for anything longer.
  package static func letter(of answer: String) -> Character? {
    let core = answer.drop(while: { $0 == " " || $0 == "(" }).reversed().drop(while: { $0 == ")" || $0 == "." })
    guard core.count == 1, let letter = core.first, letter.isLetter, letter.isASCII else { return nil }
    return letter
  }

  private static func items(_ bytes: [UInt8], _ name: String) throws(InputError) -> [[String: Any]] {
    let data = Data(bytes)
    guard String(validating: bytes, as: UTF8.self) != nil else {
      throw InputError(name, expected: "UTF-8", found: "bytes that are none")
    }
    if bytes.first(where: { !" \n\r\t".utf8.contains($0) }) == UInt8(ascii: "[") {
      do {
        guard let list = try JSONSerialization.jsonObject(with: data) as? [Any] else {
          throw CocoaError(.coderInvalidValue)
        }
        var items: [[String: Any]] = []
        for (index, item) in list.enumerated() {
          guard let object = item as? [String: Any] else {
            throw InputError(
              "\(name): item \(index)", expected: "an object with prompt, positive, negative",
              found: "\(type(of: item))")
          }
          items.append(object)
        }
        return items
      } catch let error as InputError {
        throw error
      } catch {
        throw InputError(name, expected: "a JSON list of pairs", found: "JSON that can't be read: \(reason(error))")
      }
    }
    var items: [[String: Any]] = []
    for (number, line) in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
      .enumerated()
    {
      if line.allSatisfy({ " \r\t".utf8.contains($0) }) { continue }
      guard let object = try? JSONSerialization.jsonObject(with: Data(line)) as? [String: Any] else {
        throw InputError(
          "\(name): line \(number + 1)", expected: "a JSON object with prompt, positive, negative",
          found: "\"\(String(decoding: line.prefix(60), as: UTF8.self))\"")
      }
      items.append(object)
    }
    return items
  }

  private static func reason(_ error: any Error) -> String {
    (error as NSError).userInfo["NSDebugDescription"] as? String ?? "\(error)"
  }

  private static func pair(_ item: [String: Any], _ subject: String) throws(InputError) -> Pair {
    func text(_ key: String) throws(InputError) -> String {
      guard let value = item[key] as? String else {
        throw InputError(
          "\(subject): \(key)", expected: "a text", found: item[key] == nil ? "nothing" : "something else",
          remedy: "give prompt, positive, negative, or question, answer_matching_behavior, answer_not_matching_behavior"
        )
      }
      return value
    }
    let caa = item["answer_matching_behavior"] != nil || item["question"] != nil
    let prompt = caa ? try text("question") : item["prompt"] == nil ? "" : try text("prompt")
    let positive = try text(caa ? "answer_matching_behavior" : "positive")
    let negative = try text(caa ? "answer_not_matching_behavior" : "negative")
    guard !positive.isEmpty, !negative.isEmpty, positive != negative else {
      throw InputError(
        subject, expected: "two different answers", found: "\"\(positive.prefix(60))\" and \"\(negative.prefix(60))\"")
    }
    return Pair(prompt: prompt, positive: positive, negative: negative)
  }
}
