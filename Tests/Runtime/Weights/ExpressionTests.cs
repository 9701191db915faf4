using System.Text.Json.Nodes;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Weights;

public sealed class ExpressionTests
{
    public static TheoryData<string> Names => Forms.Names;

    public static TheoryData<string> LinearNames => Forms.LinearNames;

    [Theory]
    [MemberData(nameof(LinearNames))]
    public void Applying_equals_multiplying_by_the_dense_matrix(string name)
    {
        using var scope = NewDisposeScope();
        using var form = Forms.Make(name);
        form.IsLinear.ShouldBeTrue();
        foreach (var dtype in new[] { float32, float64 })
        {
            var x = Forms.Random([2, 3, form.Columns], dtype);
            var y = form.Apply(x);
            y.dtype.ShouldBe(dtype);
            y.ShouldBeNear(x.to(float64).matmul(form.Materialize().to(float64).mT), name.Contains("several blocks", StringComparison.Ordinal) ? 1e-5 : 2e-6);
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Bytes_are_the_sum_of_the_leaves_and_names_are_unique(string name)
    {
        using var form = Forms.Make(name);
        var leaves = form.Leaves().ToList();
        form.Bytes.ShouldBe(leaves.Sum(leaf => leaf.Tensor.numel() * leaf.Tensor.element_size()));
        leaves.Select(leaf => leaf.Name).Distinct().Count().ShouldBe(leaves.Count);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_description_written_as_text_is_read_back_to_the_same_bits(string name)
    {
        using var form = Forms.Make(name);
        using var copy = ReadBack(form, form.Describe().ToJsonString());
        copy.Describe().ToJsonString().ShouldBe(form.Describe().ToJsonString());
        using var scope = NewDisposeScope();
        Compare.SameBits(copy.Materialize(), form.Materialize()).ShouldBeTrue();
        copy.Leaves().Zip(form.Leaves()).ShouldAllBe(pair => pair.First.Name == pair.Second.Name && Compare.SameBits(pair.First.Tensor, pair.Second.Tensor));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_description_that_never_was_text_is_read_as_well(string name)
    {
        using var form = Forms.Make(name);
        using var copy = Expression.Read(form.Describe(), Leaves(form));
        copy.Describe().ToJsonString().ShouldBe(form.Describe().ToJsonString());
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Keys_of_a_description_are_sorted(string name)
    {
        using var form = Forms.Make(name);
        CheckSorted(form.Describe());
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_rewritten_expression_outlives_the_original(string name)
    {
        using var scope = NewDisposeScope();
        var form = Forms.Make(name);
        var before = form.Materialize();
        using var rewritten = form.RewriteDense(dense => new Dense(dense.Matrix.clone()));
        form.Dispose();
        Compare.SameBits(rewritten.Materialize(), before).ShouldBeTrue();
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void The_original_outlives_a_rewritten_expression(string name)
    {
        using var scope = NewDisposeScope();
        using var form = Forms.Make(name);
        var before = form.Materialize();
        form.RewriteDense(dense => new Dense(dense.Matrix.clone())).Dispose();
        Compare.SameBits(form.Materialize(), before).ShouldBeTrue();
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Nothing_stays_alive_after_an_expression(string name)
    {
        long before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        using (var form = Forms.Make(name))
        {
            using var x = Forms.Random([2, form.Columns]);
            form.Apply(x).Dispose();
            form.Materialize().Dispose();
            ReadBack(form, form.Describe().ToJsonString()).Dispose();
            form.RewriteDense(dense => new Dense(dense.Matrix.clone())).Dispose();
        }

        DisposeScopeManager.Statistics.ThreadTotalLiveCount.ShouldBe(before);
    }

    [Fact]
    public void A_rewrite_that_fails_midway_leaves_nothing_alive()
    {
        using var form = Forms.Make("sum");
        long before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        int calls = 0;
        Should.Throw<NotSupportedException>(() => form.RewriteDense(dense => ++calls < 3 ? new Dense(dense.Matrix.clone()) : throw new NotSupportedException()));
        DisposeScopeManager.Statistics.ThreadTotalLiveCount.ShouldBe(before);
    }

    [Fact]
    public void Parts_that_do_not_fit_are_refused()
    {
        using var tall = Forms.Dense(7, 3);
        using var wide = Forms.Dense(4, 11);
        using var vector = ones(5);
        Should.Throw<ArgumentException>(() => new Product(tall, wide));
        Should.Throw<ArgumentException>(() => new Sum(tall, wide));
        Should.Throw<ArgumentException>(() => new Sum());
        Should.Throw<ArgumentException>(() => new Scaled(vector, tall, null));
        Should.Throw<ArgumentException>(() => new Scaled(null, tall, null, double.NaN));
        Should.Throw<ArgumentException>(() => new Shifted(tall, vector));
        Should.Throw<ArgumentException>(() => new SpatialKernel(tall, 2, 1));
        Should.Throw<ArgumentException>(() => new SpatialKernel(tall, 3, 0));
        Should.Throw<ArgumentException>(() => new Dense(vector));
    }

    internal static Func<string, Tensor> Leaves(Expression form)
    {
        var leaves = form.Leaves().ToDictionary(leaf => leaf.Name, leaf => leaf.Tensor);
        return name => leaves.TryGetValue(name, out var tensor) ? tensor.clone() : throw new InvalidDataException($"no leaf '{name}'");
    }

    private static Expression ReadBack(Expression form, string text) => Expression.Read(JsonNode.Parse(text)!.AsObject(), Leaves(form));

    private static void CheckSorted(JsonObject node)
    {
        var keys = node.Select(pair => pair.Key).ToList();
        keys.ShouldBe(keys.Order(StringComparer.Ordinal));
        foreach (var child in node.Select(pair => pair.Value).SelectMany(value => value as JsonArray ?? new JsonArray(value?.DeepClone())).OfType<JsonObject>())
        {
            CheckSorted(child);
        }
    }
}
