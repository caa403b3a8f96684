import Testing

@testable import Reporting

struct FigureTests {
  @Test(arguments: [
    (0.2567, "0.257"), (16.96, "17.0"), (9.996, "10.0"), (0.99996, "1.00"), (1234.5, "1234"), (0, "0"), (-2.5, "-2.50"),
    (1.5e-7, "1.50e-07"), (2.5e9, "2.50e+09"), (.nan, "-"), (.infinity, "-"),
  ])
  func significantDigits(_ value: Double, _ text: String) { #expect(Figure.significant(value) == text) }

  @Test(arguments: [
    (0.2567, 0.0512, "0.26 ± 0.05"), (0.2567, 0.0142, "0.257 ± 0.014"), (123.4, 12.2, "123 ± 12"), (2, 0, "2.00"),
    (-0.001, 0.02, "0.00 ± 0.02"),
  ])
  func valuesWithErrors(_ value: Double, _ error: Double, _ text: String) {
    #expect(Figure.measured(value, error: error) == text)
  }

  @Test func anErrorThatIsMissingIsNotShown() {
    #expect(Figure.measured(0.5, error: nil) == "0.500")
    #expect(Figure.measured(nil, error: 0.1) == "-")
    #expect(Figure.measured(0.5, error: .nan) == "0.500")
  }

  @Test(arguments: [(0.154, "15 %"), (0.004, "0.4 %"), (-0.084, "-8 %"), (1.29, "129 %"), (0, "0 %"), (.nan, "-")])
  func percents(_ share: Double, _ text: String) { #expect(Figure.percent(share) == text) }

  @Test func countsHaveThousandsSetApart() {
    #expect(Figure.count(134_515_008) == "134,515,008")
    #expect(Figure.count(-1000) == "-1,000")
    #expect(Figure.count(999) == "999")
    #expect(Figure.count(.min) == "-9,223,372,036,854,775,808")
    #expect(Figure.count(nil) == "-")
  }

  @Test(arguments: [
    (0.44, "0.4 s"), (9.97, "10 s"), (75, "1 min 15 s"), (3599.6, "1 h 00 min"), (90_000, "25 h 00 min"),
    (900_000, "10 d 10 h"), (-1, "-"), (1e300, "-"),
  ])
  func durations(_ seconds: Double, _ text: String) { #expect(Figure.duration(seconds) == text) }

  @Test func momentsAreUTC() {
    #expect(Figure.moment(1_700_000_000) == "2023-11-14 22:13:20 UTC")
    #expect(Figure.moment(nil) == "-")
    #expect(Figure.moment(1e300) == "-")
  }

  @Test func minusSignsAreOnlyWhereNumbersAre() {
    #expect(
      Figure.typographic("-0.5 to -3 (-1), pair-difference l0-83 1e-07")
        == "−0.5 to −3 (−1), pair-difference l0-83 1e−07")
    #expect(Figure.typographic("-") == "–")
    #expect(Figure.typographic("86 % of") == "86\u{A0}% of")
  }

  @Test func listsInWords() {
    #expect(enumeration([]) == "")
    #expect(enumeration(["a"]) == "a")
    #expect(enumeration(["a", "b", "c"]) == "a, b and c")
  }

  @Test func namesWithNumbersAreOrderedByThem() {
    let names = ["16k/l0-83", "65k/l0-20", "16k/l0-9", "trained-1024", "trained-512"]
    #expect(
      names.sorted { naturallyPrecedes($0, $1) }
        == ["16k/l0-9", "16k/l0-83", "65k/l0-20", "trained-512", "trained-1024"])
  }
}
