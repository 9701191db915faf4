using System.Reflection;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Data;
using PipelineDsl.Runtime.Engine;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Engine;

public sealed class CodeFingerprintTests
{
    [Fact]
    public void What_a_pipeline_names_counts_and_what_they_name_in_turn()
    {
        var lines = new List<string>();
        var reached = CodeFingerprint.Reachable(typeof(Pipeline), lines.Add).ShouldNotBeNull();
        Type[] named = [typeof(Pipeline), typeof(TwoLayers), typeof(Helper), typeof(Box<>), typeof(Packed), typeof(IShape)];
        named.ShouldBeSubsetOf(reached);
        reached.ShouldNotContain(typeof(Unrelated));
        reached.ShouldNotContain(typeof(CodeFingerprintTests), "a class that encloses another is not named by it");
        reached.ShouldAllBe(type => type.Assembly == typeof(Pipeline).Assembly);
        lines.ShouldContain(line => line.Contains("Limit", StringComparison.Ordinal) && line.Contains("17", StringComparison.Ordinal), "a constant may be compiled into what names it, and counts where it stands");
    }

    [Fact]
    public void Another_pipeline_over_the_same_model_has_another_fingerprint_and_each_always_the_same()
    {
        CodeFingerprint.Of(typeof(Pipeline)).ShouldBe(CodeFingerprint.Of(typeof(Pipeline)));
        CodeFingerprint.Of(typeof(Pipeline)).ShouldNotBe(CodeFingerprint.Of(typeof(Plain)));
    }

    [Fact]
    public void Where_members_are_found_by_name_everything_counts()
    {
        CodeFingerprint.Reachable(typeof(Searching), _ => { }).ShouldBeNull();
        CodeFingerprint.Of(typeof(Searching)).ShouldNotBe(CodeFingerprint.Of(typeof(Plain)));
        CodeFingerprint.Reachable(typeof(Naming), _ => { }).ShouldNotBeNull("a type that is compared or printed is not searched");
    }

    private class Plain : ModelPipeline<TwoLayers>
    {
        public override Recipe Recipe => throw new InvalidOperationException();

        public override TwoLayers CreateModel() => new();
    }

    private sealed class Pipeline : Plain
    {
        public override Tensor Loss(TwoLayers model, Batch batch)
        {
            Func<Tensor, Tensor> shift = x => Helper.Shift(x);
            return shift(batch.LossOf(Run(model, batch)));
        }
    }

    private sealed class Searching : Plain
    {
        public override TwoLayers CreateModel() => (TwoLayers)typeof(TwoLayers).GetConstructors(BindingFlags.Public | BindingFlags.Instance)[0].Invoke([false]);
    }

    private sealed class Naming : Plain
    {
        public override TwoLayers CreateModel() => GetType() == typeof(Plain) ? throw new InvalidOperationException(typeof(Naming).Name) : new();
    }

    private static class Helper
    {
        public const int Limit = 17;

        public static Tensor Shift(Tensor x) => x + new Box<Packed>().Value.Size.Numbers().Sum() + Limit;
    }

    private sealed class Box<T>
        where T : IShape, new()
    {
        public (T Size, int Count) Value { get; } = (default!, 1);
    }

    private interface IShape
    {
        int[] Numbers();
    }

    private sealed class Packed : IShape
    {
        public int[] Numbers() => [1, 2, 3, 4, 5];
    }

    private sealed class Unrelated
    {
        public static int Number => Helper.Limit;
    }
}
