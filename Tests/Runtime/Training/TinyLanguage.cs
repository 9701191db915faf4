using PipelineDsl.Runtime.Data;
using PipelineDsl.Runtime.Training;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Training;

/// <summary>A language of eight words and a model of two small matrices that learns which word follows which.</summary>
internal sealed class TinyLanguage : IDisposable
{
    private const int Words = 8;
    private const int Width = 4;

    public TinyLanguage()
    {
        using var generator = new Generator(5);
        Table = randn(Words, Width, generator: generator).mul_(0.3).DetachFromDisposeScope();
        Output = randn(Words, Width, generator: generator).mul_(0.3).DetachFromDisposeScope();
        Table.requires_grad_(true);
        Output.requires_grad_(true);
    }

    public Tensor Table { get; }

    public Tensor Output { get; }

    public IReadOnlyList<TrainedTensor> Tensors => [new("table", Table), new("output", Output)];

    /// <summary>Where training stood at each batch; null for an evaluation.</summary>
    public List<TrainingPosition?> Positions { get; } = [];

    /// <summary>Sentences in which each word is mostly followed by the next one, of lengths from 3 to 12.</summary>
    public static TrainingData Sentences(int count, int seed) => new TokenExamples([.. Enumerable.Range(0, count).Select(i =>
    {
        var random = new Random((seed * 1000) + i);
        int word = random.Next(Words);
        long[] ids = [.. Enumerable.Range(0, 3 + (i % 10)).Select(_ => (long)(word = random.Next(5) == 0 ? random.Next(Words) : (word + 1) % Words))];
        return TokenSequence.Of(ids, i % 3, 12);
    })]);

    public Tensor Loss(Batch batch)
    {
        using var scope = NewDisposeScope();
        var features = Table.index_select(0, batch.Input.flatten()).reshape([.. batch.Input.shape, Width]);
        return batch.LossOf(nn.functional.linear(features, Output)).MoveToOuterDisposeScope();
    }

    public TrainingWork Work(string? checkpoint = null) => new()
    {
        Loss = Loss,
        Tensors = Tensors,
        Data = Sentences(50, 1),
        Validation = Sentences(20, 2),
        Seed = 3,
        Device = CPU,
        MoveTo = Positions.Add,
        Checkpoint = checkpoint,
        Key = "tiny",
    };

    /// <summary>The bits of everything that is trained.</summary>
    public byte[] Bits() => [.. Table.detach().bytes.ToArray(), .. Output.detach().bytes.ToArray()];

    public void Dispose()
    {
        Table.Dispose();
        Output.Dispose();
    }
}
