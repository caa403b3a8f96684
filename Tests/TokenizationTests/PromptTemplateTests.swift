import Diagnostics
import Foundation
import Testing

@testable import Tokenization

@Suite struct PromptTemplateTests {
  private static let smolLM =
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n"
    + "You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n'"
    + " + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"

  @Test func chatMLTakesTheDefaultSystemTextFromTheModel() {
    let template = PromptTemplate.detect(chatTemplate: Self.smolLM)
    let expected =
      "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
      + "<|im_start|>user\nHi?<|im_end|>\n<|im_start|>assistant\n"
    #expect(template.family == .chatml && !template.beginsWithBeginningOfText)
    #expect(template.render(prompt: "Hi?") == expected)
    #expect(template.render(prompt: "Hi?", system: "") == "<|im_start|>user\nHi?<|im_end|>\n<|im_start|>assistant\n")
    #expect(
      template.render(prompt: " a ", system: "S").hasPrefix(
        "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\n a <|im_end|>"))
    // The same text with the two characters `\n` in place of line ends, as some files have it.
    #expect(PromptTemplate.detect(chatTemplate: Self.smolLM.replacingOccurrences(of: "\n", with: "\\n")) == template)
  }

  /// What the families' own templates render (white space around the prompt goes, except in ChatML).
  @Test(arguments: [
    (PromptTemplate.Family.raw, " Q \n", nil, " Q \n"),
    (.chatml, "Q", nil, "<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\n"),
    (.gemma, " Q\n", nil, "<start_of_turn>user\nQ<end_of_turn>\n<start_of_turn>model\n"),
    (.gemma, "Q", "S", "<start_of_turn>user\nS\n\nQ<end_of_turn>\n<start_of_turn>model\n"),
    (.llama2, "Q", nil, "[INST] Q [/INST]"),
    (.llama2, "Q", "S", "[INST] <<SYS>>\nS\n<</SYS>>\n\nQ [/INST]"),
    (
      .llama3, "Q", nil,
      "<|start_header_id|>user<|end_header_id|>\n\nQ<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
    ),
    (
      .llama3, "Q", "S",
      "<|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nQ<|eot_id|>"
        + "<|start_header_id|>assistant<|end_header_id|>\n\n"
    ),
  ]) func renders(family: PromptTemplate.Family, prompt: String, system: String?, expected: String) {
    #expect(PromptTemplate(family).render(prompt: prompt, system: system) == expected)
  }

  @Test func whatIsPutInIsNotReplacedAgain() throws {
    let template = try PromptTemplate(text: "{x} {system}|{prompt}|{prompt}", file: "t.txt")
    #expect(
      template.render(prompt: "{system}{prompt}", system: "{prompt}")
        == "{x} {prompt}|{system}{prompt}|{system}{prompt}")
    #expect(template.render(prompt: "p") == "{x} |p|p")
    #expect(PromptTemplate(.chatml).render(prompt: "{prompt}").contains("user\n{prompt}<"))
  }

  @Test func detectsTheFamilies() {
    #expect(PromptTemplate.detect(chatTemplate: nil).family == .raw)
    #expect(PromptTemplate.detect(chatTemplate: "{{ messages[0].content }}").family == .raw)
    #expect(PromptTemplate.detect(chatTemplate: "'[INST] ' + content + ' [/INST]'").family == .raw)
    let llama2 = PromptTemplate.detect(
      chatTemplate: #"'<<SYS>>\n' + system + '\n<</SYS>>\n\n' ... '[INST] ' + content.strip() + ' [/INST]'"#)
    #expect(llama2.family == .llama2 && llama2.beginsWithBeginningOfText)
    let gemma = PromptTemplate.detect(
      chatTemplate:
        #"'<start_of_turn>' + role + '\n' + content | trim + '<end_of_turn>\n' ... '<start_of_turn>model\n'"#)
    #expect(gemma.family == .gemma && gemma.beginsWithBeginningOfText)
    let header =
      #"'<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>'"#
    #expect(PromptTemplate.detect(chatTemplate: header) == PromptTemplate(.llama3))
    let dated = #"{%- set date_string = "26 Jul 2024" %} {{- "Cutting Knowledge Date: December 2023\n" }}"# + header
    #expect(
      PromptTemplate.detect(chatTemplate: dated).render(prompt: "Q").hasPrefix(
        "<|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n<|eot_id|>"
      ))
    // A system text that is put together from variables is no literal.
    let computed = #"'<|im_start|>system\n' + system_message + '<|im_end|>\n' ... '<|im_start|>assistant\n'"#
    #expect(PromptTemplate.detect(chatTemplate: computed) == PromptTemplate(.chatml))
    let qwen =
      #"{{- '<|im_start|>system\n' + x + '<|im_end|>' }} {{- '<|im_start|>system\nYou are Qwen.<|im_end|>\n' }} assistant"#
    #expect(PromptTemplate.detect(chatTemplate: qwen).defaultSystem == "You are Qwen.")
  }

  @Test func theArgumentIsANameOrAFile() throws {
    #expect(try PromptTemplate(argument: nil, chatTemplate: Self.smolLM).defaultSystem != nil)
    #expect(try PromptTemplate(argument: "chatml", chatTemplate: Self.smolLM).defaultSystem != nil)
    #expect(try PromptTemplate(argument: "raw", chatTemplate: Self.smolLM) == PromptTemplate(.raw))
    #expect(try PromptTemplate(argument: "llama3", chatTemplate: Self.smolLM) == PromptTemplate(.llama3))
    #expect(throws: InputError.self) { try PromptTemplate(argument: "chatlm", chatTemplate: nil) }
    #expect(throws: InputError.self) { try PromptTemplate(argument: "file", chatTemplate: nil) }
    let file = FileManager.default.temporaryDirectory.appendingPathComponent("prompt-\(UUID().uuidString).txt")
    defer { try? FileManager.default.removeItem(at: file) }
    try Data("Input: {prompt}\nResponse:".utf8).write(to: file)
    #expect(try PromptTemplate(argument: file.path, chatTemplate: nil).render(prompt: "Q") == "Input: Q\nResponse:")
    try Data("Input:".utf8).write(to: file)
    #expect(throws: InputError.self) { try PromptTemplate(argument: file.path, chatTemplate: nil) }
    try Data([0xFF, 0xFE]).write(to: file)
    #expect(throws: InputError.self) { try PromptTemplate(argument: file.path, chatTemplate: nil) }
  }
}
