using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Formats.Tokenizers;

namespace PipelineDsl.Runtime.Tests.Formats.Tokenizers;

public sealed class RefusedTokenizerTests
{
    [Theory]
    [InlineData("{\"model\":{\"type\":\"Unigram\",\"vocab\":[]}}", "needs the model 'Unigram', which is not supported (supported: BPE)")]
    [InlineData("{\"model\":{\"type\":\"WordPiece\",\"vocab\":{}}}", "needs the model 'WordPiece'")]
    [InlineData("{\"model\":{\"type\":\"BPE\",\"end_of_word_suffix\":\"</w>\",\"vocab\":{},\"merges\":[]}}", "'end_of_word_suffix'")]
    [InlineData("{\"normalizer\":{\"type\":\"NFKC\"},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}", "needs the normalizer 'NFKC'")]
    [InlineData("{\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"a\"},\"content\":\"b\"},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}", "needs the pattern 'Regex'")]
    [InlineData("{\"pre_tokenizer\":{\"type\":\"Whitespace\"},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}", "needs the pre_tokenizer 'Whitespace'")]
    [InlineData("{\"decoder\":{\"type\":\"CTC\"},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}", "needs the decoder 'CTC'")]
    [InlineData("{\"post_processor\":{\"type\":\"BertProcessing\"},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}", "needs the post_processor 'BertProcessing'")]
    [InlineData("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}}", "tokens 'a' and 'b' both have id 0")]
    [InlineData("{\"added_tokens\":[{\"id\":0,\"content\":\"b\"}],\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}", "tokens 'a' and 'b' both have id 0")]
    [InlineData("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}}", "token 'a' has the id -1")]
    [InlineData("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0.5},\"merges\":[]}}", "token 'a' has the id 0.5")]
    [InlineData("{\"model\":{\"type\":\"BPE\",\"vocab\":{},\"merges\":[]}}", "its vocabulary is empty")]
    [InlineData("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"a\":1},\"merges\":[]}}", "not a tokenizer")]
    [InlineData("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a b\"]}}", "merge 0 needs the token 'b'")]
    [InlineData("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a a\"]}}", "merge 0 needs the token 'aa'")]
    [InlineData("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a\"]}}", "is not two tokens")]
    [InlineData("{\"model\":{\"type\":\"BPE\",\"byte_fallback\":true,\"vocab\":{\"a\":0},\"merges\":[]}}", "lacks the token '<0x00>'")]
    [InlineData("{\"model\":{\"type\":\"BPE\",\"unk_token\":\"?\",\"vocab\":{\"a\":0},\"merges\":[]}}", "'unk_token' '?' is not in the vocabulary")]
    [InlineData("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":3}}", "of the wrong kind")]
    [InlineData("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"\\ud800\":0},\"merges\":[]}}", "not a tokenizer")]
    [InlineData("{\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"b\"}}],\"special_tokens\":{\"b\":{\"ids\":[7]}}},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}", "it adds a token with id 7")]
    [InlineData("{\"decoder\":{\"type\":\"Strip\",\"content\":\"\",\"start\":1,\"stop\":0},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}", "'Strip' looks for an empty text")]
    [InlineData("{}", "a value is missing")]
    [InlineData("[]", "of the wrong kind")]
    [InlineData("{\"model\":", "not a tokenizer")]
    [InlineData("", "not a tokenizer")]
    public void A_tokenizer_that_cannot_be_used_is_refused_with_its_reason(string json, string reason)
    {
        using var folder = new TemporaryFolder();
        string path = folder.Write("tokenizer.json", json);
        var failure = Should.Throw<PipelineException>(() => Tokenizer.Open(path));
        failure.Diagnostic.Id.ShouldBe(DiagnosticIds.BrokenTokenizer);
        failure.Message.ShouldContain(reason);
        failure.Message.ShouldContain(path);
    }

    [Fact]
    public void A_missing_tokenizer_is_a_missing_file()
    {
        using var folder = new TemporaryFolder();
        Should.Throw<PipelineException>(() => Tokenizer.Open(folder.File("tokenizer.json"))).Diagnostic.Id.ShouldBe(DiagnosticIds.MissingFile);
    }

    [Fact]
    public void A_damaged_neighbour_is_named()
    {
        using var folder = new TemporaryFolder();
        string config = folder.Write("config.json", "{");
        string path = folder.Write("tokenizer.json", "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}");
        Should.Throw<PipelineException>(() => Tokenizer.Open(path)).Message.ShouldContain(config);
    }

    [Fact]
    public void An_id_outside_the_vocabulary_cannot_be_decoded()
    {
        using var folder = new TemporaryFolder();
        var tokenizer = Tokenizer.Open(folder.Write("tokenizer.json", "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}"));
        Should.Throw<PipelineException>(() => tokenizer.Decode([9])).Message.ShouldContain("no token with id 9");
    }

    [Fact]
    public void A_mutated_tokenizer_is_accepted_or_refused_but_never_fails_otherwise()
    {
        using var folder = new TemporaryFolder();
        string path = folder.File("tokenizer.json");
        var random = new Random(7);
        int refused = 0;
        for (int i = 0; i < 2_000; i++)
        {
            File.WriteAllText(path, Mutated(random));
            refused += IsRefused(path) ? 1 : 0;
        }

        refused.ShouldBeInRange(500, 1_999);
    }

    private static bool IsRefused(string path)
    {
        try
        {
            var tokenizer = Tokenizer.Open(path);
            tokenizer.Decode(tokenizer.Encode("a b<s>"));
            return false;
        }
        catch (PipelineException)
        {
            return true;
        }
    }

    /// <summary>A small tokenizer with a value replaced by one of another kind, or a stretch of its text taken out.</summary>
    private static string Mutated(Random random)
    {
        const string json = """
            {"added_tokens":[{"id":3,"content":"<s>","special":true,"lstrip":false}],
            "normalizer":{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"_"},{"type":"Replace","pattern":{"String":" "},"content":"_"}]},
            "pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":true},
            "post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>"}},{"Sequence":{"id":"A"}}],"special_tokens":{"<s>":{"ids":[3]}}},
            "decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"_"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]},
            "model":{"type":"BPE","unk_token":"a","fuse_unk":true,"vocab":{"a":0,"_":1,"_a":2},"merges":["_ a"]}}
            """;
        string[] others = ["null", "3", "-1", "1e400", "\"x\"", "\"\"", "[]", "{}", "true", "[null]"];
        var values = System.Text.RegularExpressions.Regex.Matches(json, "\"[^\"]*\"|\\d+|true|false");
        var value = values[random.Next(values.Count)];
        return random.Next(4) > 0
            ? json.Remove(value.Index, value.Length).Insert(value.Index, others[random.Next(others.Length)])
            : json.Remove(value.Index, Math.Min(random.Next(30), json.Length - value.Index));
    }
}
