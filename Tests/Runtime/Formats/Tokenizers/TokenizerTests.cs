using System.Diagnostics;
using PipelineDsl.Runtime.Formats.Tokenizers;
using PipelineDsl.Runtime.Tests.Stories;

namespace PipelineDsl.Runtime.Tests.Formats.Tokenizers;

public sealed class TokenizerTests
{
    private static readonly Tokenizer Stories = StoryFiles.OpenTokenizer();

    [Theory]
    [InlineData("Once upon a time, there was a little girl named Lily.", "1 403 407 261 378 432 383 286 261 376 298 315 421 395 317 426")]
    [InlineData("He said \"naïve\" 你好!", "1 346 336 313 416 412 198 178 360 436 410 231 192 163 232 168 192 443")]
    [InlineData("", "1")]
    public void SentencePiece_like_ids_are_those_of_the_reference(string text, string ids)
    {
        string.Join(' ', Stories.Encode(text)).ShouldBe(ids);
        Stories.Decode(Stories.Encode(text)).ShouldBe(text);
    }

    [Fact]
    public void Byte_level_ids_are_those_of_the_reference()
    {
        var tokenizer = Tokenizer.Open(StoryFiles.Large("gsmbard-4m/tokenizer.json"));
        const string text = "Question: If 3 cats eat 2.5 fish, how many?\nAnswer: <<3*2=6>>6";

        string.Join(' ', tokenizer.Encode(text)).ShouldBe("341 26 443 316 1556 873 298 14 21 907 12 446 368 31 199 340 26 303 19 10 18 29 22 282 22");
        tokenizer.Decode(tokenizer.Encode(text)).ShouldBe(text);
        tokenizer.BeginId.ShouldBe(0);
        tokenizer.EndId.ShouldBe(0);
        tokenizer.VocabularySize.ShouldBe(2048);
    }

    [Fact]
    public void Begin_end_and_size_are_known()
    {
        Stories.BeginId.ShouldBe(1);
        Stories.EndId.ShouldBe(2);
        Stories.VocabularySize.ShouldBe(512);
    }

    [Fact]
    public void Special_tokens_are_added_only_when_wanted()
    {
        Stories.Encode("Once", addSpecialTokens: false).ShouldBe(Stories.Encode("Once")[1..]);
        Stories.Decode(Stories.Encode("Once"), skipSpecialTokens: false).ShouldBe("<s> Once");
    }

    [Fact]
    public void Special_tokens_in_the_text_are_recognised()
    {
        long[] ids = Stories.Encode("Once</s>upon");

        ids.ShouldBe([.. Stories.Encode("Once"), 2, .. Stories.Encode("upon", addSpecialTokens: false)]);
    }

    [Fact]
    public void Any_text_comes_back_as_it_was()
    {
        var random = new Random(3);
        for (int i = 0; i < 200; i++)
        {
            var runes = Enumerable.Range(0, random.Next(1, 40)).Select(_ => new System.Text.Rune(random.Next(3) switch
            {
                0 => random.Next(0x20, 0x7F),
                1 => random.Next(0xA0, 0xD800),
                _ => random.Next(0x10000, 0x110000),
            }));
            string text = string.Concat(runes).Replace('\u2581', '_');
            Stories.Decode(Stories.Encode(text)).ShouldBe(text);
        }
    }

    [Fact]
    public void Bytes_that_are_no_text_are_shown_as_replacement_characters()
    {
        const int firstByte = 3;
        Stories.Decode([firstByte + 0xE4, firstByte + 0xBD, 403]).ShouldBe("\uFFFD\uFFFD Once");
    }

    [Theory]
    [InlineData("a")]
    [InlineData("Once upon a time, there was a little girl. ")]
    public void Long_text_takes_time_in_proportion(string unit)
    {
        string text = string.Concat(Enumerable.Repeat(unit, 300_000 / unit.Length));
        Stories.Encode(text[..1000]);
        var watch = Stopwatch.StartNew();

        long[] ids = Stories.Encode(text);

        watch.Elapsed.ShouldBeLessThan(TimeSpan.FromSeconds(5));
        Stories.Decode(ids).ShouldBe(text);
    }
}
