using PipelineDsl.Runtime.Adapters;
using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Statistics;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Adapters;

/// <summary>What a step of the language and the adapter that it starts promise of each other.</summary>
public sealed class AdapterStepsTests
{
    private static readonly (Adapt Step, long[] Shape, LayerOperation Operation)[] Cases =
    [
        (new Lora { Rank = 3 }, [12, 8], LayerOperation.Linear),
        (new Lora { Rank = 3, WeightDecomposed = true, RankStabilized = true, Start = LoraStart.Gaussian }, [12, 8], LayerOperation.Linear),
        (new Lora { Rank = 3, Start = LoraStart.Pissa }, [12, 8], LayerOperation.Linear),
        (new Lora { Rank = 3 }, [40, 8], LayerOperation.Lookup),
        (new Lora { Rank = 3, WeightDecomposed = true }, [40, 8], LayerOperation.Lookup),
        (new Lora { Rank = 3 }, [6, 4, 3, 2], Convolution()),
        (new Lora { Rank = 3, WeightDecomposed = true }, [6, 4, 3, 2], Convolution()),
        (new Bone { Rank = 4 }, [12, 10], LayerOperation.Linear),
        (new Bone { Rank = 4, MiniRank = 6 }, [12, 10], LayerOperation.Linear),
        (new Bat { Rank = 4 }, [12, 8], LayerOperation.Linear),
        (new Soka { MaxRank = 3 }, [12, 8], LayerOperation.Linear),
        (new Tlora { Rank = 2 }, [12, 8], LayerOperation.Linear),
        (new Tlora { Rank = 2, TransformRank = 0, Residual = TloraResidual.RingVector }, [12, 8], LayerOperation.Linear),
        (new Tlora { Rank = 2, TransformRank = 0, Residual = TloraResidual.RingMatrix, InputShape = "2x4", OutputShape = "3x4" }, [12, 8], LayerOperation.Linear),
        (new Flora { Ranks = "3x5" }, [12, 8], LayerOperation.Linear),
        (new Flora(), [16, 12, 3, 3], Convolution()),
        (new FineTune(), [12, 8], LayerOperation.Linear),
        (new FineTune(), [40, 8], LayerOperation.Lookup),
        (new FineTune(), [6, 4, 3, 2], Convolution()),
    ];

    public static TheoryData<int> All => [.. Enumerable.Range(0, Cases.Length)];

    [Theory]
    [MemberData(nameof(All))]
    public void What_is_stored_is_what_was_trained_in_the_bytes_that_were_predicted(int place)
    {
        using var scope = NewDisposeScope();
        var (step, shape, operation) = Cases[place];
        var weight = Random(1, shape).to(float32);
        var layer = new LayerShape(
            operation == LayerOperation.Linear ? LayerKinds.Linear : operation == LayerOperation.Lookup ? LayerKinds.Embedding : LayerKinds.Conv2d,
            shape[0],
            weight.numel() / shape[0])
        {
            Kernel = shape.Length == 4 ? new(shape[2], shape[3], 1) : null,
        };
        using var adapter = step.Attach(weight, operation, 3).Moved();
        adapter.ParameterCount.ShouldBe(step is Soka ? adapter.ParameterCount : step.TrainedNumbers(layer));
        adapter.ParameterCount.ShouldBeLessThanOrEqualTo(step.TrainedNumbers(layer));

        using var before = new Dense(weight.reshape(layer.Rows, layer.Columns).alias());
        using var after = adapter.ToExpression(before);
        after.Materialize().ShouldBeNear(adapter.Merge().reshape(layer.Rows, layer.Columns), 1e-6);
        after.Bytes.ShouldBe(step.Predict(layer, [new(layer.Rows, layer.Columns, before.Bytes)]).Sum(cost => cost.Bytes));
        (after is Dense).ShouldBe(!step.KeepsBase);
    }

    [Fact]
    public void Every_step_that_is_trained_has_a_method() =>
        StepCatalog.Steps.Select(step => step.Create()).OfType<Adapt>().ShouldAllBe(step => AdapterCatalog.For(step).StepType == step.GetType());

    [Fact]
    public void Beside_few_bits_the_few_bits_stay()
    {
        using var scope = NewDisposeScope();
        using var grid = Quantized(24, 32);
        using var adapter = AdapterCatalog.For(new Lora()).Attach(new Lora { Rank = 4 }, grid, 1).Moved();
        using var stored = adapter.ToExpression(grid);
        stored.ShouldBeOfType<Sum>().Parts[0].ShouldBeOfType<Grid>();
        stored.Bytes.ShouldBe(grid.Bytes + (4 * 4 * (24 + 32)));
        stored.Materialize().ShouldBeNear(adapter.Merge(), 1e-6);
        adapter.ChangesBase.ShouldBeFalse();

        using var split = AdapterCatalog.For(new Lora()).Attach(new Lora { Rank = 4, Start = LoraStart.Pissa }, grid, 1);
        split.ChangesBase.ShouldBeTrue();
        split.Merge().ShouldBeNear(grid.Materialize(), 1e-5);
    }

    [Fact]
    public void What_solvers_have_started_goes_on_as_an_adapter()
    {
        using var scope = NewDisposeScope();
        var problem = LayerProblems.Make(24, 32, LayerProblems.Inputs(32));
        foreach (var step in (Step[])[new Corda { Rank = 4, Use = CordaUse.Adapter, LoraAlpha = 6 }, new Corda { Rank = 4, Use = CordaUse.Adapter }, new LqLora { Rank = 4, Bits = 4, Weighted = false }])
        {
            using var solved = SolverCatalog.For(step).Solve(problem, step).Weight;
            using var adapter = LoraMethod.Attach(solved).ShouldNotBeNull();
            adapter.Merge().ShouldBeNear(solved.Materialize(), 1e-6);
            using var kept = FrozenWeight.Shared(solved.Parts[0]);
            using var before = adapter.BaseWeight.clone();
            adapter.Moved();
            using var stored = adapter.ToExpression(kept);
            stored.Parts[0].Form.ShouldBe(solved.Parts[0].Form);
            stored.Materialize().ShouldBeNear(adapter.Merge(), 1e-6);
            Compare.SameBits(adapter.BaseWeight, before).ShouldBeTrue();

            // What was learned, as a change of the weight before training.
            using var plain = adapter.AsLowRank()!;
            plain.A.shape[0].ShouldBe(8);
            (solved.Materialize() + plain.B.mm(plain.A).mul(plain.Scaling)).ShouldBeNear(adapter.Merge(), 1e-5);
        }

        using var dense = new Dense(LayerProblems.Weight(3, 4));
        LoraMethod.Attach(dense).ShouldBeNull();
    }

    [Fact]
    public void Full_fine_tuning_trains_the_weight_itself()
    {
        using var scope = NewDisposeScope();
        var (weight, x) = (Random(1, 9, 12), Random(2, 5, 12));
        using var adapter = new FineTune().Attach(weight, LayerOperation.Linear, 1);
        Compare.SameBits(adapter.Output(x, null), LayerOperation.Linear.Apply(x, weight)).ShouldBeTrue();
        adapter.ShouldHaveTrueGradients(x);
        adapter.Moved().ShouldMerge(x);
        Compare.SameBits(adapter.Merge(), adapter.Parameters[0].Value.detach()).ShouldBeTrue();
        Compare.SameBits(weight, Random(1, 9, 12)).ShouldBeTrue();

        using var half = new FineTune().Attach(weight.to(bfloat16), LayerOperation.Linear, 1);
        half.Parameters[0].Value.dtype.ShouldBe(float32);
        half.Merge().dtype.ShouldBe(bfloat16);
        half.Forward(x.to(bfloat16)).dtype.ShouldBe(bfloat16);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Dropout_hits_the_adapter_s_inputs_alone_and_only_where_training_is_decides_which(bool decomposed)
    {
        using var scope = NewDisposeScope();
        var (weight, x) = (Random(1, 9, 200), Random(2, 50, 200));
        var step = new Lora { Rank = 3, Dropout = 0.25, WeightDecomposed = decomposed };
        using var adapter = step.Attach(weight, LayerOperation.Linear, 1).Moved();
        var whole = adapter.Output(x, null);
        Tensor Dropped(long seed, string layer, long optimizerStep, long batch, int call = 0)
        {
            adapter.Pass = new TrainingPass(seed, layer, optimizerStep, batch);
            for (; call > 0; call--)
            {
                adapter.Output(x, null);
            }

            var y = adapter.Output(x, null);
            adapter.Pass = null;
            return y;
        }

        var dropped = Dropped(7, "fc", 3, 1);
        Compare.SameBits(dropped, Dropped(7, "fc", 3, 1)).ShouldBeTrue();
        foreach (var other in (Tensor[])[Dropped(8, "fc", 3, 1), Dropped(7, "fd", 3, 1), Dropped(7, "fc", 4, 1), Dropped(7, "fc", 3, 2), Dropped(7, "fc", 3, 1, call: 1), whole])
        {
            Compare.SameBits(dropped, other).ShouldBeFalse();
        }

        // The same by hand: the adapter sees x with a quarter of its entries at zero.
        using var mask = new TrainingPass(7, "fc", 3, 1).Mask(x, 0.25);
        mask.eq(0).to(float64).mean().item<double>().ShouldBeInRange(0.23, 0.27);
        mask.max().item<double>().ShouldBeNear(1 / 0.75, 1e-12);
        var frozen = LayerOperation.Linear.Apply(x, weight);
        var changed = LayerOperation.Linear.Apply(x.mul(mask), adapter.Merge() - weight);
        dropped.ShouldBeNear(frozen + changed, 1e-12);
        Compare.SameBits(adapter.Output(x, null), whole).ShouldBeTrue();
    }

    internal static Expression Quantized(long rows, long columns)
    {
        using var scope = NewDisposeScope();
        var step = new Quantize { Bits = 4, GroupSize = 16 };
        using var dense = new Dense(Random(5, rows, columns).to(float32));
        return SolverCatalog.For(step).Solve(new LayerProblem("fc", dense, null, LayerStatistics.None, 0), step).Weight;
    }

    private static ConvolutionOperation Convolution() => new([1, 1], [0, 0], [1, 1]);

    private static Tensor Random(int seed, params long[] shape) => AdapterChecks.Random(seed, shape);
}
