using System.Text;
using System.Text.Json;
using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Data;
using PipelineDsl.Runtime.Formats;
using PipelineDsl.Runtime.Formats.Tokenizers;

namespace PipelineDsl.Runtime.Training;

/// <summary>Reads training data of every format.</summary>
/// <param name="settings">Format, length and packing.</param>
/// <param name="tokenizer">Where the model's tokenizer should be; only tensors need none.</param>
/// <param name="report">Hears what was left out or cut.</param>
public sealed class TrainingDataReader(TrainAttribute settings, string? tokenizer, Action<RecipeDiagnostic> report)
{
    private const string Marker = "<|im_start|>";

    /// <summary>Reads a file.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="PipelineException">PDSL1015, PDSL3012: it is not there or cannot be read. PDSL3002, PDSL3004: it or the tokenizer is damaged. PDSL3005: it cannot serve as data; at its line and column.</exception>
    public TrainingData Read(string path)
    {
        if (Path.GetExtension(path).Equals(".safetensors", StringComparison.OrdinalIgnoreCase))
        {
            return settings.Format == TrainingFormat.Auto
                ? new TensorExamples(TensorSource.Open(path, 0))
                : throw Broken(path, $"holds tensors and 'format' is '{SettingDescriptor.Format(settings.Format)}'; drop 'format'");
        }

        if (tokenizer is null || !File.Exists(tokenizer))
        {
            throw Broken(path, "is text, which needs the model's tokenizer, and there is none beside the weights; put tokenizer.json beside the weights or name it as the recipe's 'tokenizer'");
        }

        var vocabulary = Tokenizer.Open(tokenizer);
        string text = TextSource.ReadText(path);
        bool records = Path.GetExtension(path).Equals(".jsonl", StringComparison.OrdinalIgnoreCase) || settings.Format is TrainingFormat.Instructions or TrainingFormat.Chat;
        return new TokenExamples(records ? new RecordReader(path, vocabulary, settings, report).Read(text) : Windows(path, text, vocabulary));
    }

    /// <summary>Windows that do not overlap; the begin token, where there is one, stands in place of each window's first, as in evaluation.</summary>
    private List<TokenSequence> Windows(string path, string text, Tokenizer vocabulary)
    {
        long[] encoded = vocabulary.Encode(text, addSpecialTokens: false);
        long[] ids = vocabulary.BeginId is { } begin ? [begin, .. encoded] : encoded;
        var windows = new List<TokenSequence>();
        for (int start = 0; start + 1 < ids.Length; start += settings.SequenceLength)
        {
            var window = TokenSequence.Of(ids.AsSpan(start, Math.Min(settings.SequenceLength + 1, ids.Length - start)), 0, settings.SequenceLength);
            window.Tokens[0] = (int)(vocabulary.BeginId ?? window.Tokens[0]);
            windows.Add(window);
        }

        return windows.Count > 0 ? windows : throw Broken(path, $"has {ids.Length} tokens, and one is predicted from another; give more text");
    }

    private static PipelineException Broken(string path, string reason) => new(DiagnosticIds.BrokenData, $"'{path}' {reason}", path);

    /// <summary>Reads one file of JSON lines.</summary>
    private sealed class RecordReader(string path, Tokenizer vocabulary, TrainAttribute settings, Action<RecipeDiagnostic> report)
    {
        private readonly bool hasMarkers = vocabulary.Encode(Marker, addSpecialTokens: false).Length == 1;
        private readonly List<int> empty = [];
        private readonly List<int> cut = [];
        private readonly List<int> lost = [];
        private TrainingFormat format = settings.Format;

        public List<TokenSequence> Read(string text)
        {
            var sequences = new List<TokenSequence>();
            int number = 0;
            foreach (var line in text.AsSpan().EnumerateLines())
            {
                number++;
                if (!line.IsWhiteSpace() && Sequence(line.ToString(), number) is { } sequence)
                {
                    sequences.Add(sequence);
                }
            }

            Warn(empty, "nothing to learn and", "left out", "complete or remove them");
            Warn(cut, $"more than {settings.SequenceLength} tokens and", "cut", "raise 'sequenceLength' or shorten them");
            Warn(lost, $"a prompt of {settings.SequenceLength} tokens or more, so that no answer is left, and", "left out", "raise 'sequenceLength' or shorten them");
            if (sequences.Count == 0)
            {
                throw Broken(path, $"holds no example to learn from{(number > 1 ? $" in {number} lines" : "")}; give records such as {{\"prompt\": \"…\", \"completion\": \"…\"}}, one a line");
            }

            return settings.Packing ? TokenSequence.Pack(sequences, settings.SequenceLength) : sequences;
        }

        private TokenSequence? Sequence(string line, int number)
        {
            var parts = Parts(line, number);
            if (!parts.Any(part => part is { IsLearnt: true, IsEmpty: false }))
            {
                empty.Add(number);
                return null;
            }

            var (ids, targets) = Encode(parts);
            var sequence = targets.Length > settings.SequenceLength ? new TokenSequence(ids[..settings.SequenceLength], targets[..settings.SequenceLength]) : new(ids, targets);
            if (!sequence.IsScored)
            {
                lost.Add(number);
                return null;
            }

            if (ids.Length > settings.SequenceLength)
            {
                cut.Add(number);
            }

            return sequence;
        }

        /// <summary>Tokens of the whole, each scored where it belongs to a part that is learnt. The whole is encoded as far as each part ends, for tokens may reach across: such a token counts as given.</summary>
        private (int[] Ids, int[] Targets) Encode(IReadOnlyList<ExamplePart> parts)
        {
            var text = new StringBuilder();
            long[] before = [];
            var learnt = new List<bool>();
            foreach (var part in parts)
            {
                text.Append(part.Text);
                long[] now = vocabulary.Encode(text.ToString(), addSpecialTokens: false);
                int common = before.AsSpan().CommonPrefixLength(now);
                learnt.RemoveRange(common, learnt.Count - common);
                bool reachesBack = common < before.Length;
                while (learnt.Count < now.Length)
                {
                    learnt.Add(part.IsLearnt && !(reachesBack && learnt.Count == common));
                }

                before = now;
            }

            bool ends = parts[^1].IsLearnt && vocabulary.EndId is not null;
            List<long> ids = [.. vocabulary.BeginId is { } begin ? [begin] : Array.Empty<long>(), .. before, .. ends ? [vocabulary.EndId!.Value] : Array.Empty<long>()];
            int shift = vocabulary.BeginId is null ? 0 : 1;
            int[] targets = new int[ids.Count];
            for (int i = 0; i < targets.Length; i++)
            {
                int next = i + 1 - shift;
                bool scored = next >= 0 && (next < learnt.Count ? learnt[next] : next == learnt.Count && ends);
                targets[i] = scored ? checked((int)ids[i + 1]) : (int)Batch.Ignored;
            }

            return ([.. ids.Select(id => checked((int)id))], targets);
        }

        private IReadOnlyList<ExamplePart> Parts(string line, int number)
        {
            try
            {
                using var document = JsonDocument.Parse(line);
                if (format == TrainingFormat.Auto)
                {
                    format = ExampleTemplate.FormatOf(document.RootElement) ?? throw new FormatException("is no training record: it has neither 'messages', nor a 'prompt', 'instruction' or 'question', nor 'text'; say 'format' if it is plain text");
                }

                return ExampleTemplate.Parts(document.RootElement, format, hasMarkers);
            }
            catch (JsonException failure)
            {
                int column = ColumnOf(line, failure.BytePositionInLine ?? 0);
                string reason = failure.Message.Split(" LineNumber:")[0].TrimEnd('.');
                throw new PipelineException(DiagnosticIds.BrokenData, $"line {number} is no JSON: {reason}; each line is one record", new SourceSpan(path, number, column, number, column), failure);
            }
            catch (FormatException failure)
            {
                throw new PipelineException(DiagnosticIds.BrokenData, $"line {number} {failure.Message}", new SourceSpan(path, number, 1, number, line.Length + 1), failure);
            }
        }

        private static int ColumnOf(string line, long bytes)
        {
            int column = 1;
            foreach (var rune in line.EnumerateRunes())
            {
                bytes -= rune.Utf8SequenceLength;
                if (bytes < 0)
                {
                    break;
                }

                column += rune.Utf16SequenceLength;
            }

            return column;
        }

        private void Warn(List<int> lines, string what, string done, string cure)
        {
            if (lines.Count > 0)
            {
                string message = $"{(lines.Count == 1 ? "an example has" : $"{lines.Count} examples have")} {what} {(lines.Count == 1 ? "was" : "were")} {done}, {(lines.Count == 1 ? "" : "the first ")}on line {lines[0]}; {cure}";
                report(new(DiagnosticIds.ExamplesAdjusted, Severity.Warning, message, new(path, lines[0], 1, lines[0], 1)));
            }
        }
    }
}
