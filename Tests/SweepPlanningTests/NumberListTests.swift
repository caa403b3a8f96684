import Diagnostics
import SweepPlanning
import Testing

@Suite struct NumberListTests {
  @Test(arguments: [
    ("-2,-1,0,1", [-2, -1, 0, 1]), ("-2:2:0.5", [-2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2]), ("3", [3]),
    ("2:-2:-2", [2, 0, -2]), (" 1 , 2:3:1 ", [1, 2, 3]), ("5:5:1", [5]), ("0:1:0.4", [0, 0.4, 0.8]), ("1e2", [100]),
  ])
  func listsAndRanges(text: String, values: [Double]) throws {
    #expect(try NumberList.parse(text, subject: "x") == values)
  }

  @Test func bothEndsOfADecimalRangeAreIn() throws {
    #expect(try NumberList.parse("-4:4:0.1", subject: "x").count == 81)
    #expect(try NumberList.parse("0:0.3:0.1", subject: "x").count == 4)
  }

  @Test(arguments: [
    "", ",", "1,", "a", "1:2", "1:2:0", "2:1:1", "1:2:3:4", "nan", "inf", "1:inf:1", "0:1:1e-9", "-1e308:1e308:1",
    "1,,2",
    ":::", "--1",
  ])
  func otherTextIsAnError(text: String) {
    #expect(throws: InputError.self) { try NumberList.parse(text, subject: "x") }
  }

  @Test(arguments: [
    ("12,15,18", [12, 15, 18]), ("0-3", [0, 1, 2, 3]), ("all", Array(0..<26)), ("3,1,2-3", [1, 2, 3]), (" 5 ", [5]),
    ("25", [25]),
  ])
  func layers(text: String, layers: [Int]) throws {
    #expect(try NumberList.layers(text, count: 26, subject: "x") == layers)
  }

  @Test(arguments: [
    "26", "0-26", "-1", "3-1", "1-2-3", "a", "", "1,", "0-9223372036854775807", "9223372036854775808", "1.5", "all,3",
  ])
  func otherLayersAreAnError(text: String) {
    #expect(throws: InputError.self) { try NumberList.layers(text, count: 26, subject: "x") }
  }
}
