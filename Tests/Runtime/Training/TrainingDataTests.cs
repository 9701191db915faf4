using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Data;
using PipelineDsl.Runtime.Formats.Tokenizers;
using PipelineDsl.Runtime.Tests.Formats;
using PipelineDsl.Runtime.Tests.Stories;
using PipelineDsl.Runtime.Training;

namespace PipelineDsl.Runtime.Tests.Training;

public sealed class TrainingDataTests : IDisposable
{
    private readonly TemporaryFolder folder = new();
    private readonly Tokenizer tokenizer = StoryFiles.OpenTokenizer();
    private readonly List<RecipeDiagnostic> heard = [];

    [Fact]
    public void Text_becomes_windows_that_start_with_the_begin_token_and_predict_every_next_token()
    {
        const string text = "Once upon a time there was a little dog. He liked to play with a big red ball.";
        long[] ids = tokenizer.Encode(text);
        var windows = All(Read("t.txt", text, new("t") { SequenceLength = 8 }));
        windows.Count.ShouldBe((ids.Length + 6) / 8);
        windows[0].Tokens.ShouldBe(ids[..8]);
        windows[0].Targets.ShouldBe(ids[1..9]);
        windows[1].Tokens.ShouldBe([1, .. ids[9..16]]);
        windows[1].Targets.ShouldBe(ids[9..17]);
        windows.Sum(window => window.Targets.Length).ShouldBe(ids.Length - 1, "every token but the first is predicted once");
    }

    [Fact]
    public void Only_the_answer_of_an_instruction_is_scored_and_its_end()
    {
        var examples = All(Read("t.jsonl", """{"question": "How many dogs?", "answer": "Two dogs."}""", new("t")));
        var (tokens, targets) = examples.ShouldHaveSingleItem();
        tokenizer.Decode(tokens).ShouldBe("Question: How many dogs?\nAnswer: Two dogs.");
        tokens[0].ShouldBe(tokenizer.BeginId!.Value);
        long[] scored = [.. targets.Where(target => target != Batch.Ignored)];
        tokenizer.Decode(scored).Trim().ShouldBe("Two dogs.");
        scored[^1].ShouldBe(tokenizer.EndId!.Value);
        targets.Index().Where(item => item.Item != Batch.Ignored).ShouldAllBe(item => item.Item == tokens[item.Index + 1]);
        targets[^1].ShouldBe(Batch.Ignored);
    }

    [Theory]
    [InlineData("""{"instruction": "Add.", "input": "1 2", "output": "3"}""", "### Instruction:\nAdd.\n\n### Input:\n1 2\n\n### Response:\n3", "3")]
    [InlineData("""{"instruction": "Say hi.", "input": "", "response": "hi"}""", "### Instruction:\nSay hi.\n\n### Response:\nhi", "hi")]
    [InlineData("""{"prompt": "Once upon", "completion": " a time"}""", "Once upon a time", "a time")]
    [InlineData("""{"messages": [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hello."}]}""", "User: Hi.\nAssistant: Hello.\n", "Hello.")]
    [InlineData("""{"text": "Once upon a time"}""", "Once upon a time", "Once upon a time")]
    public void Records_become_text_of_which_the_answers_are_scored(string record, string text, string scored)
    {
        var (tokens, targets) = All(Read("t.jsonl", record, new("t"))).ShouldHaveSingleItem();
        tokenizer.Decode(tokens).ShouldBe(text);
        tokenizer.Decode(targets.Where(target => target != Batch.Ignored)).Trim().ShouldBe(scored);
    }

    [Fact]
    public void Every_answer_of_a_chat_is_scored_and_nothing_else()
    {
        const string chat = """{"messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "One."}, {"role": "assistant", "content": "Two."}, {"role": "user", "content": "Three."}, {"role": "assistant", "content": "Four."}]}""";
        var (_, targets) = All(Read("t.jsonl", chat, new("t"))).ShouldHaveSingleItem();
        tokenizer.Decode(targets.Where(target => target != Batch.Ignored)).ShouldBe("Two. Four.");
    }

    [Fact]
    public void Packed_examples_share_sequences_whole_and_predict_nothing_across_their_ends()
    {
        string records = string.Join('\n', Enumerable.Range(0, 9).Select(i => $$"""{"prompt": "Dog {{i}}", "completion": " ran."}"""));
        var alone = All(Read("a.jsonl", records, new("t") { Packing = false, SequenceLength = 40 }));
        var packed = All(Read("b.jsonl", records, new("t") { SequenceLength = 40 }));
        alone.Count.ShouldBe(9);
        packed.Count.ShouldBeLessThan(9);
        packed.ShouldAllBe(sequence => sequence.Tokens.Length <= 40);
        packed.SelectMany(sequence => sequence.Tokens).ShouldBe(alone.SelectMany(sequence => sequence.Tokens));
        packed.SelectMany(sequence => sequence.Targets).ShouldBe(alone.SelectMany(sequence => sequence.Targets));
    }

    [Fact]
    public void Shorter_sequences_of_a_batch_are_filled_up_with_what_is_not_scored()
    {
        var data = Read("t.jsonl", "{\"text\": \"Once upon a time there was a dog.\"}\n{\"text\": \"A dog.\"}", new("t") { Packing = false });
        using var batch = data.Read([0, 1]);
        var longest = All(data)[0];
        batch.Input.shape.ShouldBe([2, longest.Tokens.Length]);
        batch.LossCount.ShouldBe(All(data).Sum(sequence => sequence.Targets.Count(target => target != Batch.Ignored)));
    }

    [Fact]
    public void Empty_and_long_examples_are_counted_in_one_warning_each_at_the_first_of_them()
    {
        string words = string.Join(' ', Enumerable.Repeat("dog", 60));
        string records = string.Join('\n',
            """{"prompt": "a", "completion": " b"}""",
            """{"prompt": "a", "completion": " "}""",
            "",
            $$"""{"prompt": "a", "completion": "{{words}}"}""",
            """{"prompt": "a", "completion": ""}""",
            $$"""{"prompt": "{{words}}", "completion": " b"}""");
        var data = Read("t.jsonl", records, new("t") { SequenceLength = 32, Packing = false });
        data.Count.ShouldBe(2);
        heard.Select(problem => (problem.Id, problem.Severity, problem.Span.Line)).ShouldBe(
        [
            (DiagnosticIds.ExamplesAdjusted, Severity.Warning, 2),
            (DiagnosticIds.ExamplesAdjusted, Severity.Warning, 4),
            (DiagnosticIds.ExamplesAdjusted, Severity.Warning, 6),
        ]);
        heard[0].Message.ShouldBe("2 examples have nothing to learn and were left out, the first on line 2; complete or remove them");
        heard[1].Message.ShouldBe("an example has more than 32 tokens and was cut, on line 4; raise 'sequenceLength' or shorten them");
        heard[2].Message.ShouldContain("a prompt of 32 tokens or more");
    }

    [Theory]
    [InlineData("{\"prompt\": \"a\", \"completion\": \"b\"}\n{\"prompt\": \"ä\", completion}\n", 2, 17, "line 2 is no JSON")]
    [InlineData("{\"prompt\": \"a\"}", 1, 1, "line 1 has no answer: name it 'completion', 'output', 'response' or 'answer'")]
    [InlineData("{\"completion\": \"a\"}", 1, 1, "is no training record")]
    [InlineData("{\"prompt\": 3, \"completion\": \"a\"}", 1, 1, "line 1 has a number as 'prompt', which is a text")]
    [InlineData("[1, 2]", 1, 1, "is no training record")]
    [InlineData("{\"messages\": \"hi\"}", 1, 1, "line 1 has no list 'messages'")]
    [InlineData("{\"messages\": [{\"role\": \"user\"}]}", 1, 1, "line 1 has no 'content'")]
    [InlineData("{\"prompt\": \"a\", \"completion\": \"\"}\n", 1, 1, "holds no example to learn from")]
    [InlineData("\n\n", 1, 1, "holds no example to learn from")]
    public void A_broken_record_is_an_error_where_it_stands(string records, int line, int column, string expected)
    {
        var failure = Should.Throw<PipelineException>(() => Read("t.jsonl", records, new("t")));
        failure.Diagnostic.Id.ShouldBe(DiagnosticIds.BrokenData);
        failure.Message.ShouldContain(expected);
        (failure.Diagnostic.Span.Line, failure.Diagnostic.Span.Column).ShouldBe((line, column));
    }

    [Fact]
    public void Records_can_be_what_quality_is_measured_on()
    {
        string path = folder.Write("e.jsonl", "{\"prompt\": \"a\", \"completion\": \" dog\"}\n{\"prompt\": \"a b c\", \"completion\": \" cat ran.\"}");
        var source = DataSource.Open(path, StoryFiles.TokenizerPath, samples: 1, sequenceLength: 64);
        var batches = source.EvaluationBatches().ToList();
        batches.Count.ShouldBe(2);
        source.CalibrationBatches().Count().ShouldBe(1);
        batches.Select(batch => tokenizer.Decode(batch.Target!.data<long>().Where(target => target != Batch.Ignored)).Trim()).ShouldBe(["dog", "cat ran."]);
        batches.ForEach(batch => batch.Dispose());
    }

    [Fact]
    public void Text_of_one_token_is_an_error() => Should.Throw<PipelineException>(() => Read("t.txt", "", new("t"))).Diagnostic.Id.ShouldBe(DiagnosticIds.BrokenData);

    [Fact]
    public void Text_without_a_tokenizer_is_an_error_that_says_where_it_belongs() => Should.Throw<PipelineException>(
        () => new TrainingDataReader(new("t"), null, heard.Add).Read(folder.Write("t.txt", "dog"))).Message.ShouldContain("put tokenizer.json beside the weights");

    public void Dispose() => folder.Dispose();

    private TrainingData Read(string name, string text, TrainAttribute settings) => new TrainingDataReader(settings, StoryFiles.TokenizerPath, heard.Add).Read(folder.Write(name, text));

    private static List<(long[] Tokens, long[] Targets)> All(TrainingData data) => [.. Enumerable.Range(0, data.Count).Select(example =>
    {
        using var batch = data.Read([example]);
        return (batch.Input.data<long>().ToArray(), batch.Target!.data<long>().ToArray());
    })];
}
