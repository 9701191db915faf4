using System.Text;
using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Formats;
using PipelineDsl.Runtime.Formats.Tokenizers;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Data;

/// <summary>A text file as windows of tokens, each a batch of its own with the next token as target.</summary>
/// <remarks>
/// Windows do not overlap. Where the tokenizer has a begin token, it stands in place of each window's first token, so that the model
/// always sees the start it was trained with. For evaluation only the second half of each window is scored, where the model has seen
/// at least half a window of context. Both are what llama.cpp's perplexity does, so the figures can be compared.
/// </remarks>
public sealed class TextSource : DataSource
{
    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private readonly long[] tokens;
    private readonly long? beginId;
    private readonly int samples;
    private readonly int length;

    private TextSource(long[] tokens, long? beginId, int samples, int length)
    {
        this.tokens = tokens;
        this.beginId = beginId;
        this.samples = samples;
        this.length = length;
    }

    /// <summary>How many whole windows the text has.</summary>
    public int WindowCount => tokens.Length / length;

    /// <summary>Reads and tokenises a text file.</summary>
    /// <param name="path">UTF-8 text.</param>
    /// <param name="tokenizer">The model's tokenizer.</param>
    /// <param name="samples">How many windows calibration takes, evenly spread; 0 takes all.</param>
    /// <param name="sequenceLength">Tokens a window, begin token included.</param>
    /// <exception cref="PipelineException">PDSL1015, PDSL3012: the file is not there or cannot be read. PDSL3005: it is empty, no UTF-8, or shorter than a window.</exception>
    public static TextSource Open(string path, Tokenizer tokenizer, int samples, int sequenceLength)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(samples);
        ArgumentOutOfRangeException.ThrowIfLessThan(sequenceLength, 2);
        long[] text = tokenizer.Encode(ReadText(path), addSpecialTokens: false);
        long[] tokens = tokenizer.BeginId is { } begin ? [begin, .. text] : text;
        return tokens.Length >= sequenceLength
            ? new TextSource(tokens, tokenizer.BeginId, samples, sequenceLength) { Path = path }
            : throw new PipelineException(DiagnosticIds.BrokenData, $"'{path}' has {tokens.Length} tokens, fewer than one window of {sequenceLength}; give more text or a smaller 'sequenceLength'", path);
    }

    /// <inheritdoc/>
    public override IEnumerable<Batch> CalibrationBatches() => Spread(WindowCount, samples).Select(window => Window((int)window, firstScored: 0));

    /// <inheritdoc/>
    public override IEnumerable<Batch> EvaluationBatches() => Enumerable.Range(0, WindowCount).Select(window => Window(window, firstScored: length / 2));

    /// <summary>Ids [1, length] and, at each position, the id that follows; the last position has none.</summary>
    private Batch Window(int index, int firstScored)
    {
        long[] ids = tokens[(index * length)..((index + 1) * length)];
        long[] next = [.. ids.Skip(1), Batch.Ignored];
        next.AsSpan(0, firstScored).Fill(Batch.Ignored);
        ids[0] = beginId ?? ids[0];
        return new Batch(tensor(ids, [1, length]).DetachFromDisposeScope(), tensor(next, [1, length]).DetachFromDisposeScope());
    }

    /// <summary>Reads a text file.</summary>
    /// <exception cref="PipelineException">PDSL1015, PDSL3012: it is not there or cannot be read. PDSL3005: it is empty or no UTF-8.</exception>
    internal static string ReadText(string path)
    {
        byte[] bytes = ReadableFile.Try(path, File.ReadAllBytes);
        var content = bytes.AsSpan(bytes.AsSpan().StartsWith(Encoding.UTF8.Preamble) ? Encoding.UTF8.Preamble.Length : 0);
        if (content.IsEmpty)
        {
            throw new PipelineException(DiagnosticIds.BrokenData, $"'{path}' is empty; give it text", path);
        }

        try
        {
            return StrictUtf8.GetString(content);
        }
        catch (DecoderFallbackException failure)
        {
            throw new PipelineException(DiagnosticIds.BrokenData, $"'{path}' is no UTF-8 text: byte {failure.Index + 1} is invalid; save it as UTF-8", path, failure);
        }
    }
}
