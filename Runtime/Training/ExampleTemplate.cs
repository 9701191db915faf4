using System.Text;
using System.Text.Json;
using PipelineDsl.Runtime.Data;
using PipelineDsl.Runtime.Formats.Tokenizers;

namespace PipelineDsl.Runtime.Training;

/// <summary>How a record of JSON becomes text: parts that are given and parts that are to be learnt, in turn.</summary>
/// <remarks>
/// <c>prompt</c> and <c>completion</c> are joined as they are. <c>question</c> and <c>answer</c> become <c>Question: …\nAnswer: …</c>; <c>instruction</c> and its answer the
/// headings <c>### Instruction:</c>, <c>### Input:</c> (where there is one) and <c>### Response:</c>. Chats use the markers <c>&lt;|im_start|&gt;</c> and <c>&lt;|im_end|&gt;</c> where the
/// tokenizer has them, else a line <c>User: …</c> or <c>Assistant: …</c> each.
/// </remarks>
internal static class ExampleTemplate
{
    private static readonly string[] Prompts = ["prompt", "instruction", "question"];
    private static readonly string[] Answers = ["completion", "output", "response", "answer"];

    /// <summary>What a record looks like, or null.</summary>
    public static TrainingFormat? FormatOf(JsonElement record) => record.ValueKind != JsonValueKind.Object ? null
        : record.TryGetProperty("messages", out _) ? TrainingFormat.Chat
        : Prompts.Any(key => record.TryGetProperty(key, out _)) ? TrainingFormat.Instructions
        : record.TryGetProperty("text", out _) ? TrainingFormat.Text
        : null;

    /// <summary>The parts of a record.</summary>
    /// <param name="record">The record.</param>
    /// <param name="format">What it should be.</param>
    /// <param name="hasMarkers">Whether the tokenizer knows the markers of chats.</param>
    /// <exception cref="FormatException">It is something else; the message says what is missing.</exception>
    public static IReadOnlyList<ExamplePart> Parts(JsonElement record, TrainingFormat format, bool hasMarkers) => record.ValueKind != JsonValueKind.Object
        ? throw new FormatException($"is {Kind(record)}, and a record is an object such as {{\"prompt\": \"…\", \"completion\": \"…\"}}")
        : format switch
        {
            TrainingFormat.Text => [new(Text(record, "text"), true)],
            TrainingFormat.Chat => Chat(record, hasMarkers),
            _ => Instruction(record),
        };

    private static List<ExamplePart> Instruction(JsonElement record)
    {
        string prompt = Array.Find(Prompts, key => record.TryGetProperty(key, out _)) ?? throw Missing("a prompt", Prompts);
        string answer = Array.Find(Answers, key => record.TryGetProperty(key, out _)) ?? throw Missing("an answer", Answers);
        string given = Text(record, prompt);
        string learnt = Text(record, answer);
        return prompt switch
        {
            "question" => [new($"Question: {given}\nAnswer:", false), new(" " + learnt, true)],
            "instruction" when record.TryGetProperty("input", out var input) && input.ValueKind == JsonValueKind.String && input.GetString()!.Length > 0 =>
                [new($"### Instruction:\n{given}\n\n### Input:\n{input.GetString()}\n\n### Response:\n", false), new(learnt, true)],
            "instruction" => [new($"### Instruction:\n{given}\n\n### Response:\n", false), new(learnt, true)],
            _ => [new(given, false), new(learnt, true)],
        };
    }

    private static List<ExamplePart> Chat(JsonElement record, bool hasMarkers)
    {
        if (!record.TryGetProperty("messages", out var messages) || messages.ValueKind != JsonValueKind.Array)
        {
            throw new FormatException("has no list 'messages' of role and content");
        }

        var parts = new List<ExamplePart>();
        foreach (var message in messages.EnumerateArray())
        {
            if (message.ValueKind != JsonValueKind.Object)
            {
                throw new FormatException($"has {Kind(message)} among its messages, and a message is an object with 'role' and 'content'");
            }

            string role = Text(message, "role");
            string content = Text(message, "content");
            bool learnt = role == "assistant";
            parts.Add(new(hasMarkers ? $"<|im_start|>{role}\n" : $"{char.ToUpperInvariant(role.FirstOrDefault('?'))}{role.Skip(1).Aggregate(new StringBuilder(), (text, letter) => text.Append(letter))}:", false));
            parts.Add(new(hasMarkers ? content + "<|im_end|>" : " " + content, learnt) { IsEmpty = string.IsNullOrWhiteSpace(content) });
            parts.Add(new("\n", false));
        }

        return parts;
    }

    private static string Text(JsonElement record, string key) => !record.TryGetProperty(key, out var value)
        ? throw new FormatException($"has no '{key}'")
        : value.ValueKind == JsonValueKind.String ? value.GetString()! : throw new FormatException($"has {Kind(value)} as '{key}', which is a text");

    private static FormatException Missing(string what, string[] keys) => new($"has no {what[(what.IndexOf(' ', StringComparison.Ordinal) + 1)..]}: name it {string.Join(", ", keys.SkipLast(1).Select(key => $"'{key}'"))} or '{keys[^1]}'");

    private static string Kind(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "a list",
        JsonValueKind.Number => "a number",
        JsonValueKind.Null => "null",
        JsonValueKind.String => "a text",
        _ => "true or false",
    };
}

/// <summary>A part of an example.</summary>
/// <param name="Text">Its text.</param>
/// <param name="IsLearnt">Whether it is to be predicted; else it is given.</param>
internal sealed record ExamplePart(string Text, bool IsLearnt)
{
    /// <summary>Whether it says nothing, whatever stands around it.</summary>
    public bool IsEmpty { get; init; } = string.IsNullOrWhiteSpace(Text);
}
