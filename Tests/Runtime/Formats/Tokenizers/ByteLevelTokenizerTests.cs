using PipelineDsl.Runtime.Formats.Tokenizers;

namespace PipelineDsl.Runtime.Tests.Formats.Tokenizers;

/// <summary>A byte-level tokenizer small enough to follow by hand.</summary>
public sealed class ByteLevelTokenizerTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    [Theory]
    [InlineData("it's  a test 42!", "it|'s| | a| test| 42|!")]
    [InlineData("we'll see\n\n x", "we|'ll| see|\n\n| x")]
    [InlineData("naïve 你好", "naïve| 你好")]
    [InlineData("𝒳𝒴 a😀😀", "𝒳𝒴| a|😀😀")]
    [InlineData("trailing  ", "trailing|  ")]
    public void Text_is_cut_as_GPT2_cuts_it(string text, string words) =>
        string.Join('|', ByteLevel.Words(text)).ShouldBe(words);

    [Fact]
    public void Every_byte_has_a_visible_character_and_comes_back()
    {
        string text = string.Concat(Enumerable.Range(0, 0x800).Select(code => (char)code));
        string encoded = ByteLevel.Encode(text);

        encoded.ShouldAllBe(symbol => !char.IsControl(symbol) && !char.IsWhiteSpace(symbol));
        ByteLevel.Decode([encoded]).ShouldBe(text);
    }

    [Fact]
    public void Merges_go_by_rank_and_then_from_left_to_right()
    {
        var tokenizer = Open(vocabulary: "\"a\":0,\"b\":1,\"aa\":2,\"ab\":3,\"aab\":4", merges: "\"a a\",\"a b\",\"a ab\"");

        tokenizer.Encode("aaab").ShouldBe([2, 3]);
        tokenizer.Encode("aab").ShouldBe([2, 1]);
        tokenizer.Encode("ab").ShouldBe([3]);
        tokenizer.Encode("aaaa").ShouldBe([2, 2]);
    }

    [Fact]
    public void Merges_may_be_written_as_pairs() =>
        Open(vocabulary: "\"a\":0,\"aa\":1", merges: "[\"a\",\"a\"]").Encode("aaa").ShouldBe([1, 0]);

    [Fact]
    public void Unknown_characters_become_the_unknown_token_or_nothing()
    {
        Open(vocabulary: "\"a\":0", merges: "").Encode("aba").ShouldBe([0, 0]);
        Open(vocabulary: "\"a\":0,\"?\":1", merges: "", model: ",\"unk_token\":\"?\"").Encode("abba").ShouldBe([0, 1, 1, 0]);
        Open(vocabulary: "\"a\":0,\"?\":1", merges: "", model: ",\"unk_token\":\"?\",\"fuse_unk\":true").Encode("abba").ShouldBe([0, 1, 0]);
    }

    [Fact]
    public void A_whole_word_may_go_before_merges() =>
        Open(vocabulary: "\"a\":0,\"aaa\":1", merges: "", model: ",\"ignore_merges\":true").Encode("aaa").ShouldBe([1]);

    [Fact]
    public void Added_tokens_are_matched_as_their_flags_say()
    {
        const string added = """
            {"id":10,"content":"<x>","special":true},
            {"id":11,"content":"<x>y","special":false},
            {"id":12,"content":"<l>","special":false,"lstrip":true,"rstrip":true},
            {"id":13,"content":"aa","special":false,"single_word":true}
            """;
        var tokenizer = Open(vocabulary: "\"a\":0,\"y\":1,\"Ġ\":2", merges: "", added: added);

        tokenizer.Encode("a<x>ya").ShouldBe([0, 11, 0]);
        tokenizer.Encode("a<x>a").ShouldBe([0, 10, 0]);
        tokenizer.Encode("a <l> a").ShouldBe([0, 12, 0]);
        tokenizer.Encode("aa aaa").ShouldBe([13, 2, 0, 0, 0]);
        tokenizer.Decode([0, 10, 11]).ShouldBe("a<x>y");
        tokenizer.VocabularySize.ShouldBe(14);
    }

    [Theory]
    [InlineData("{\"bos_token\":\"a\"}", "{}", 0L)]
    [InlineData("{\"bos_token\":{\"content\":\"b\"}}", "{}", 1L)]
    [InlineData("{\"bos_token\":null}", "{\"bos_token_id\":1}", 1L)]
    [InlineData("{}", "{\"bos_token_id\":[1,0]}", 1L)]
    [InlineData("{}", "{\"bos_token_id\":null}", null)]
    [InlineData("{\"bos_token\":\"none\"}", "{\"bos_token_id\":9}", null)]
    public void The_begin_token_comes_from_the_files_beside_it(string tokenizerConfig, string config, long? id)
    {
        folder.Write("tokenizer_config.json", tokenizerConfig);
        folder.Write("config.json", config);
        Open(vocabulary: "\"a\":0,\"b\":1", merges: "").BeginId.ShouldBe(id);
    }

    public void Dispose() => folder.Dispose();

    private Tokenizer Open(string vocabulary, string merges, string model = "", string added = "") =>
        Tokenizer.Open(folder.Write("tokenizer.json", $$"""
            {"added_tokens":[{{added}}],"normalizer":null,"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},"post_processor":null,
            "decoder":{"type":"ByteLevel"},"model":{"type":"BPE","vocab":{ {{vocabulary}} },"merges":[{{merges}}]{{model}} } }
            """));
}
