using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Data;
using PipelineDsl.Runtime.Formats.Tokenizers;
using PipelineDsl.Runtime.Tests.Formats;
using PipelineDsl.Runtime.Tests.Stories;

namespace PipelineDsl.Runtime.Tests.Data;

public sealed class TextSourceTests : IDisposable
{
    private const int Length = 8;
    private const string Text = "Once upon a time there was a little dog. He liked to play with a big red ball in the park every day.";

    private readonly TemporaryFolder folder = new();
    private readonly Tokenizer tokenizer = StoryFiles.OpenTokenizer();

    [Fact]
    public void Windows_follow_each_other_and_start_with_the_begin_token()
    {
        long[] ids = tokenizer.Encode(Text);
        var source = Open(Text, samples: 0);

        var windows = Values(source.CalibrationBatches());

        windows.Count.ShouldBe(ids.Length / Length);
        source.WindowCount.ShouldBe(windows.Count);
        for (int window = 0; window < windows.Count; window++)
        {
            long[] expected = ids[(window * Length)..((window + 1) * Length)];
            windows[window].Input.ShouldBe([1, .. expected[1..]]);
            windows[window].Target.ShouldBe([.. expected[1..], Batch.Ignored]);
        }
    }

    [Fact]
    public void Evaluation_scores_the_second_half_of_each_window()
    {
        var source = Open(Text, samples: 1);
        var (input, target) = Values(source.EvaluationBatches())[1];

        Values(source.EvaluationBatches()).Count.ShouldBe(source.WindowCount);
        target.ShouldBe([.. Enumerable.Repeat(Batch.Ignored, Length / 2), .. input[(Length / 2 + 1)..], Batch.Ignored]);
    }

    [Fact]
    public void Samples_are_spread_over_the_text_and_the_same_each_time()
    {
        var all = Values(Open(Text, samples: 0).CalibrationBatches());
        var two = Open(Text, samples: 2);

        Values(two.CalibrationBatches()).Select(window => window.Input).ShouldBe([all[0].Input, all[all.Count / 2].Input]);
        Values(two.CalibrationBatches()).Select(window => window.Input).ShouldBe(Values(two.CalibrationBatches()).Select(window => window.Input));
        Values(Open(Text, samples: 1000).CalibrationBatches()).Count.ShouldBe(all.Count);
    }

    [Fact]
    public void A_byte_order_mark_is_no_text()
    {
        string path = folder.Write("bom.txt", [0xEF, 0xBB, 0xBF, .. System.Text.Encoding.UTF8.GetBytes(Text)]);
        var marked = TextSource.Open(path, tokenizer, 0, Length);
        Values(marked.CalibrationBatches())[0].Input.ShouldBe(Values(Open(Text, 0).CalibrationBatches())[0].Input);
    }

    [Theory]
    [InlineData("", "is empty")]
    [InlineData("Hi", "fewer than one window of 8")]
    [InlineData("ab\u00FFcd", "byte 3 is invalid")]
    public void Text_that_cannot_serve_is_refused(string latin1, string reason)
    {
        string path = folder.Write("text.txt", System.Text.Encoding.Latin1.GetBytes(latin1));
        var failure = Should.Throw<PipelineException>(() => TextSource.Open(path, tokenizer, 0, Length));
        failure.Diagnostic.Id.ShouldBe(DiagnosticIds.BrokenData);
        failure.Message.ShouldContain(reason);
        failure.Message.ShouldContain(path);
    }

    [Fact]
    public void Text_needs_a_tokenizer_and_the_message_says_where_it_was_looked_for()
    {
        string path = folder.Write("text.md", Text);
        string nowhere = folder.File("tokenizer.json");

        DataSource.Open(path, StoryFiles.TokenizerPath, 0, Length).ShouldBeOfType<TextSource>().Path.ShouldBe(path);
        Should.Throw<PipelineException>(() => DataSource.Open(path, nowhere, 0, Length)).Message.ShouldContain($"there is none at '{nowhere}'");
        Should.Throw<PipelineException>(() => DataSource.Open(path, null, 0, Length)).Diagnostic.Id.ShouldBe(DiagnosticIds.BrokenData);
        Should.Throw<PipelineException>(() => DataSource.Open(folder.File("no.txt"), StoryFiles.TokenizerPath, 0, Length)).Diagnostic.Id.ShouldBe(DiagnosticIds.MissingFile);
    }

    public void Dispose() => folder.Dispose();

    private TextSource Open(string text, int samples) => TextSource.Open(folder.Write("text.txt", text), tokenizer, samples, Length);

    private static List<(long[] Input, long[] Target)> Values(IEnumerable<Batch> batches)
    {
        var values = new List<(long[], long[])>();
        foreach (var batch in batches)
        {
            using (batch)
            {
                batch.Input.shape.ShouldBe([1, Length]);
                values.Add((batch.Input.data<long>().ToArray(), batch.Target!.data<long>().ToArray()));
            }
        }

        return values;
    }
}
