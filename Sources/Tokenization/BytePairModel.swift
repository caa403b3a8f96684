/// Byte-pair encoding of one word: the characters of the word (or its bytes) are symbols, and the two neighbouring symbols
/// whose merge comes first are merged, the leftmost of equals, until none is left.
struct BytePairModel: Sendable {
  /// What two neighbouring symbols become.
  struct Merge: Sendable {
    /// The merge with the lowest rank is made first.
    var rank: UInt32
    var id: Int32
  }

  /// Where merges come from.
  enum Rule: Sendable {
    /// A list of pairs of ids (`left << 32 | right`).
    case pairs([UInt64: Merge])
    /// SentencePiece: any two symbols whose concatenation is a piece merge; by id, the place of the piece's score among
    /// all scores from the highest down, `UInt32.max` for pieces that must not arise from text (control and byte tokens).
    case scores(ranks: [UInt32], longestPiece: Int)
  }

  /// What the first symbols are.
  enum Alphabet: Sendable {
    /// Bytes; the id of each, -1 where the vocabulary lacks it.
    case bytes([Int32])
    /// Characters; the ids of those that are pieces.
    case characters([Unicode.Scalar: Int32])
  }

  var vocabulary: Vocabulary
  var rule: Rule
  var alphabet: Alphabet
  /// A word that is a piece as it stands is taken whole, without looking at the merges.
  var takesWholeWords = false
  /// By byte: the id of the token `<0xXX>` that stands for it where characters are symbols; empty without byte fallback.
  var byteTokens: [Int32] = []
  /// Stands for characters that nothing else stands for; nil: they are left out, as other implementations do.
  var unknown: Int32?
  /// A run of unknown characters is one unknown token.
  var fusesUnknown = false

  /// The id of a byte that belongs to no valid character, nil where the vocabulary has no token for it.
  func id(ofByte byte: UInt8) -> Int32? {
    switch alphabet {
    case .bytes(let ids): ids[Int(byte)] < 0 ? unknown : ids[Int(byte)]
    case .characters: byteTokens.isEmpty || byteTokens[Int(byte)] < 0 ? unknown : byteTokens[Int(byte)]
    }
  }

  /// The symbols of a word as a linked list, and the heap of possible merges; kept from word to word for its memory.
  struct Workspace {
    fileprivate var ids: [Int32] = []
    fileprivate var starts: [Int32] = []
    /// In bytes; 0 once a symbol has been merged into its left neighbour.
    fileprivate var lengths: [Int32] = []
    fileprivate var previous: [Int32] = []
    fileprivate var next: [Int32] = []
    fileprivate var heap = MergeHeap()

    fileprivate mutating func reset() {
      ids.removeAll(keepingCapacity: true)
      starts.removeAll(keepingCapacity: true)
      lengths.removeAll(keepingCapacity: true)
      previous.removeAll(keepingCapacity: true)
      next.removeAll(keepingCapacity: true)
    }

    fileprivate mutating func append(_ id: Int32, start: Int, length: Int) {
      let index = Int32(ids.count)
      ids.append(id)
      starts.append(Int32(start))
      lengths.append(Int32(length))
      previous.append(index - 1)
      next.append(index + 1)
    }
  }

  /// Appends the ids of the word `bytes[word]` (valid UTF-8, less than 2^31 bytes).
  ///
  /// Complexity: O(n log n) in the number of bytes.
  func encode(_ bytes: [UInt8], _ word: Range<Int>, workspace: inout Workspace, into ids: inout [Int]) {
    if takesWholeWords, let id = wholeWord(bytes, word) {
      ids.append(Int(id))
      return
    }
    workspace.reset()
    switch alphabet {
    case .bytes(let byteIDs):
      for index in word {
        let id = byteIDs[Int(bytes[index])]
        if id >= 0 {
          workspace.append(id, start: index, length: 1)
        } else {
          appendUnknown(index, length: 1, to: &workspace)
        }
      }
    case .characters(let characterIDs):
      appendCharacters(bytes, word, characterIDs, to: &workspace)
    }
    merge(bytes, &workspace)
    var symbol = 0
    while symbol < workspace.ids.count {
      let id = workspace.ids[symbol]
      if id >= 0 {
        ids.append(Int(id))
      } else {
        let start = Int(workspace.starts[symbol])
        appendFallback(bytes[start..<(start + Int(workspace.lengths[symbol]))], to: &ids)
      }
      symbol = Int(workspace.next[symbol])
    }
  }

  private func wholeWord(_ bytes: [UInt8], _ word: Range<Int>) -> Int32? {
    switch alphabet {
    case .bytes: vocabulary.id(ByteAlphabet.encode(bytes[word]))
    case .characters: vocabulary.id(Array(bytes[word]))
    }
  }

  /// Makes the first symbols. With scores, a character that is no piece stays (id -1), because it may still be a part of one;
  /// with pairs it is replaced at once, as the pairs are made of pieces.
  private func appendCharacters(
    _ bytes: [UInt8], _ word: Range<Int>, _ characterIDs: [Unicode.Scalar: Int32], to workspace: inout Workspace
  ) {
    var index = word.lowerBound
    while index < word.upperBound {
      let (scalar, length) = Self.character(bytes, index)
      defer { index += length }
      if let id = characterIDs[scalar] {
        workspace.append(id, start: index, length: length)
        continue
      }
      if case .scores = rule {
        workspace.append(-1, start: index, length: length)
      } else if hasByteTokens(bytes[index..<(index + length)]) {
        for offset in 0..<length {
          workspace.append(byteTokens[Int(bytes[index + offset])], start: index + offset, length: 1)
        }
      } else {
        appendUnknown(index, length: length, to: &workspace)
      }
    }
  }

  private func appendUnknown(_ start: Int, length: Int, to workspace: inout Workspace) {
    guard let unknown else { return }
    if fusesUnknown, let last = workspace.ids.indices.last, workspace.ids[last] == unknown {
      workspace.lengths[last] += Int32(length)
    } else {
      workspace.append(unknown, start: start, length: length)
    }
  }

  private func hasByteTokens(_ character: ArraySlice<UInt8>) -> Bool {
    !byteTokens.isEmpty && character.allSatisfy { byteTokens[Int($0)] >= 0 }
  }

  private func appendFallback(_ character: ArraySlice<UInt8>, to ids: inout [Int]) {
    if hasByteTokens(character) {
      for byte in character { ids.append(Int(byteTokens[Int(byte)])) }
    } else if let unknown, !(fusesUnknown && ids.last == Int(unknown)) {
      ids.append(Int(unknown))
    }
  }

  /// The character at `index` of valid UTF-8 and its number of bytes.
  private static func character(_ bytes: [UInt8], _ index: Int) -> (Unicode.Scalar, length: Int) {
    let first = UInt32(bytes[index])
    let length = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4
    var value = length == 1 ? first : first & (0x7F >> UInt32(length))
    for offset in 1..<4 where offset < length { value = value << 6 | UInt32(bytes[index + offset] & 0x3F) }
    return (Unicode.Scalar(value) ?? "\u{FFFD}", length)
  }

  private func merge(_ bytes: [UInt8], _ workspace: inout Workspace) {
    let count = Int32(workspace.ids.count)
    guard count > 1 else { return }
    for left in 0..<(count - 1) { push(left, left + 1, bytes, &workspace) }
    while let entry = workspace.heap.pop() {
      let left = Int(entry.left)
      guard workspace.lengths[left] > 0 else { continue }
      let right = Int(workspace.next[left])
      // A merge on either side since the push has made the pair longer: this entry is stale.
      guard right < Int(count), workspace.lengths[left] + workspace.lengths[right] == entry.length else { continue }
      workspace.ids[left] = entry.id
      workspace.lengths[left] = entry.length
      workspace.lengths[right] = 0
      let following = workspace.next[right]
      workspace.next[left] = following
      if following < count {
        workspace.previous[Int(following)] = Int32(left)
        push(Int32(left), following, bytes, &workspace)
      }
      if workspace.previous[left] >= 0 { push(workspace.previous[left], Int32(left), bytes, &workspace) }
    }
  }

  private func push(_ left: Int32, _ right: Int32, _ bytes: [UInt8], _ workspace: inout Workspace) {
    let length = workspace.lengths[Int(left)] + workspace.lengths[Int(right)]
    switch rule {
    case .pairs(let pairs):
      let key =
        UInt64(UInt32(bitPattern: workspace.ids[Int(left)])) << 32
        | UInt64(UInt32(bitPattern: workspace.ids[Int(right)]))
      guard let merge = pairs[key] else { return }
      workspace.heap.push(MergeHeap.Entry(rank: merge.rank, left: left, id: merge.id, length: length))
    case .scores(let ranks, let longestPiece):
      guard length <= longestPiece else { return }
      let start = Int(workspace.starts[Int(left)])
      guard let id = vocabulary.id(Array(bytes[start..<(start + Int(length))])), ranks[Int(id)] != .max else { return }
      workspace.heap.push(MergeHeap.Entry(rank: ranks[Int(id)], left: left, id: id, length: length))
    }
  }
}

/// A binary heap of possible merges, the lowest rank first, the leftmost of equals.
struct MergeHeap {
  struct Entry {
    var rank: UInt32
    var left: Int32
    var id: Int32
    /// Bytes of both symbols together.
    var length: Int32

    fileprivate var order: UInt64 { UInt64(rank) << 32 | UInt64(UInt32(bitPattern: left)) }
  }

  private var entries: [Entry] = []

  mutating func push(_ entry: Entry) {
    var index = entries.count
    entries.append(entry)
    while index > 0 {
      let parent = (index - 1) / 2
      guard entry.order < entries[parent].order else { break }
      entries[index] = entries[parent]
      index = parent
    }
    entries[index] = entry
  }

  mutating func pop() -> Entry? {
    guard let first = entries.first, let last = entries.popLast() else { return nil }
    if entries.isEmpty { return first }
    var index = 0
    while true {
      var child = 2 * index + 1
      guard child < entries.count else { break }
      if child + 1 < entries.count, entries[child + 1].order < entries[child].order { child += 1 }
      guard entries[child].order < last.order else { break }
      entries[index] = entries[child]
      index = child
    }
    entries[index] = last
    return first
  }
}
