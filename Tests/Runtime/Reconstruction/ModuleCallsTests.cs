using PipelineDsl.Runtime.Data;
using PipelineDsl.Runtime.Reconstruction;
using TorchSharp.Modules;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Reconstruction;

public sealed class ModuleCallsTests
{
    [Fact]
    public void Arguments_and_results_of_any_number_are_seen_and_calls_repeated()
    {
        using var scope = NewDisposeScope();
        using var module = new Pair();
        var calls = ModuleCalls.Of(module)!;
        object?[]? arguments = null;
        object? result = null;
        using (calls.WatchArguments(given => arguments = given))
        using (calls.WatchResult(given => result = given[0]))
        {
            module.call(ones(2), null, 3);
        }

        module.call(zeros(2), null, 1);
        arguments!.Length.ShouldBe(3);
        ((Tensor)arguments[0]!).sum().item<float>().ShouldBe(2);
        arguments[1].ShouldBeNull();
        arguments[2].ShouldBe(3L);
        CallValues.TensorsOf(result).Count().ShouldBe(2);
        var (tripled, _) = ((Tensor, Tensor))calls.Call(arguments)!;
        tripled.sum().item<float>().ShouldBe(6);
    }

    [Fact]
    public void A_module_of_one_argument_gets_it_unchanged()
    {
        using var scope = NewDisposeScope();
        using var module = nn.Linear(3, 2);
        var x = ones(1, 3);
        var expected = module.call(x);
        int seen = 0;
        using (ModuleCalls.Of(module)!.WatchArguments(_ => seen++))
        {
            module.call(x).ShouldBeNear(expected, 0);
        }

        seen.ShouldBe(1);
    }

    [Fact]
    public void A_list_of_modules_cannot_be_called()
    {
        using var list = nn.ModuleList<nn.Module<Tensor, Tensor>>(nn.Linear(1, 1));
        ModuleCalls.Of(list).ShouldBeNull();
    }

    [Fact]
    public void Tuples_arrays_and_plain_values_are_copied_and_other_objects_refused()
    {
        using var scope = NewDisposeScope();
        var tensor = ones(2);
        var copy = ((Tensor, long, Tensor[]))CallValues.Copy((tensor, 7L, new[] { tensor }))!;
        tensor.zero_();
        copy.Item1.sum().item<float>().ShouldBe(2);
        copy.Item2.ShouldBe(7);
        copy.Item3[0].sum().item<float>().ShouldBe(2);
        Should.Throw<NotSupportedException>(() => CallValues.Copy(new List<Tensor>())).Message.ShouldContain("List");
    }

    [Theory]
    [InlineData("model.layers.3.mlp.up", "model.layers.3")]
    [InlineData("head", "head")]
    [InlineData("groups.0.1.fc", "groups.0.1")]
    public void A_block_is_the_outermost_numbered_module_that_can_be_called(string layer, string block)
    {
        using var callable = nn.Linear(1, 1);
        using var list = nn.ModuleList<nn.Module<Tensor, Tensor>>();
        var modules = new Dictionary<string, nn.Module> { ["model.layers.3"] = callable, ["groups.0"] = list, ["groups.0.1"] = callable, ["head"] = callable };
        BlockPath.Of(layer, modules).ShouldBe(block);
    }

    [Fact]
    public void Samples_are_the_rows_of_batches_put_together_again_where_they_fit()
    {
        using var scope = NewDisposeScope();
        Batch[] batches = [new(arange(10, dtype: float32).reshape(5, 2), null), new(arange(6, dtype: float32).reshape(3, 2), null), new(zeros(1, 3), null)];
        var joined = SampleBatches.Of(batches, 3).ToList();
        joined.Select(batch => batch.Input.shape[0]).ShouldBe([3, 3, 2, 1]);
        joined[1].Input.ShouldBeNear(tensor(new float[] { 6, 7, 8, 9, 0, 1 }).reshape(3, 2), 0);
        joined.ForEach(batch => batch.Dispose());
    }

    private sealed class Pair : nn.Module<Tensor, Tensor?, long, (Tensor, Tensor)>
    {
        public Pair()
            : base(nameof(Pair))
        {
        }

        public override (Tensor, Tensor) forward(Tensor x, Tensor? y, long factor) => (x * factor, y ?? zeros(1));
    }
}
